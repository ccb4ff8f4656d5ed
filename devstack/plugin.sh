#!/bin/bash
#
# devstack/plugin.sh
# Puts the patch set onto devstack's Nova and configures Ceph, Glance and Nova
# for direct RBD image downloads to local disks. Needs devstack-plugin-ceph,
# enabled before this one.

# ``stack.sh`` calls the entry points in this order:
#
# - nova_rbd_patch
# - nova_rbd_create_key
# - nova_rbd_configure_glance
# - nova_rbd_configure_nova
# - nova_rbd_unpatch (clean.sh only)

# Save trace setting
NOVA_RBD_XTRACE=$(set +o | grep xtrace)
set +o xtrace

# nova_rbd_patch() - Apply the patch set to Nova's source tree
function nova_rbd_patch {
    if ! python3 "$NOVA_RBD_DIR/tools/nova_patchset.py" apply "$NOVA_DIR"; then
        die $LINENO "The patch set does not fit $NOVA_DIR. Set NOVA_BRANCH to a release that $NOVA_RBD_DIR/patches/upstream.ini names."
    fi
}

# nova_rbd_unpatch() - Put Nova's source tree back as it was
function nova_rbd_unpatch {
    if [[ -d $NOVA_DIR ]]; then
        python3 "$NOVA_RBD_DIR/tools/nova_patchset.py" revert --keep-changed "$NOVA_DIR"
    fi
}

# nova_rbd_create_key() - Make a key that can read images and nothing else
# The key of a subnode comes from the controller, with all of /etc/ceph.
function nova_rbd_create_key {
    local keyring
    keyring=$(dirname "$NOVA_RBD_CEPH_CONF")/ceph.client.$NOVA_RBD_CEPH_USER.keyring
    if [[ "$REMOTE_CEPH" == "False" ]]; then
        sudo ceph --conf "$NOVA_RBD_CEPH_CONF" auth get-or-create \
            "client.$NOVA_RBD_CEPH_USER" mon "allow r" \
            osd "profile rbd-read-only pool=$NOVA_RBD_POOL" -o "$keyring"
        sudo chown "$STACK_USER:" "$keyring"
        sudo chmod 0600 "$keyring"
    fi
    if ! sudo test -s "$keyring"; then
        die $LINENO "There is no $keyring. Is devstack-plugin-ceph enabled, before nova-rbd?"
    fi
}

# nova_rbd_configure_glance() - A file store and an RBD store, and locations
# that no user sees
function nova_rbd_configure_glance {
    iniset "$GLANCE_API_CONF" DEFAULT show_image_direct_url False
    iniset "$GLANCE_API_CONF" DEFAULT show_multiple_locations False

    iniset "$GLANCE_API_CONF" DEFAULT enabled_backends "$NOVA_RBD_FILE_STORE:file, $NOVA_RBD_RBD_STORE:rbd"
    iniset "$GLANCE_API_CONF" glance_store default_backend "$NOVA_RBD_RBD_STORE"
    iniset "$GLANCE_API_CONF" "$NOVA_RBD_FILE_STORE" filesystem_store_datadir "$DATA_DIR/glance/$NOVA_RBD_FILE_STORE/"
    iniset "$GLANCE_API_CONF" "$NOVA_RBD_RBD_STORE" rbd_store_pool "$NOVA_RBD_POOL"
    iniset "$GLANCE_API_CONF" "$NOVA_RBD_RBD_STORE" rbd_store_user "${GLANCE_CEPH_USER:-glance}"
    iniset "$GLANCE_API_CONF" "$NOVA_RBD_RBD_STORE" rbd_store_ceph_conf "$NOVA_RBD_CEPH_CONF"
    iniset "$GLANCE_API_CONF" os_glance_staging_store filesystem_store_datadir "$DATA_DIR/glance/os_glance_staging_store/"
    iniset "$GLANCE_API_CONF" os_glance_tasks_store filesystem_store_datadir "$DATA_DIR/glance/os_glance_tasks_store/"
}

# nova_rbd_configure_nova() - Local disks, and the options of direct downloads
# nova-compute gets a copy of $NOVA_CONF.
function nova_rbd_configure_nova {
    iniset "$NOVA_CONF" libvirt images_type "$NOVA_RBD_IMAGES_TYPE"

    iniset "$NOVA_CONF" glance enable_rbd_download "$NOVA_RBD_DOWNLOAD"
    if [[ "$NOVA_RBD_DOWNLOAD" == "True" ]]; then
        iniset "$NOVA_CONF" glance allowed_direct_url_schemes rbd
    else
        iniset "$NOVA_CONF" glance allowed_direct_url_schemes ""
    fi
    iniset "$NOVA_CONF" glance rbd_user "$NOVA_RBD_CEPH_USER"
    iniset "$NOVA_CONF" glance rbd_pool "$NOVA_RBD_POOL"
    iniset "$NOVA_CONF" glance rbd_ceph_conf "$NOVA_RBD_CEPH_CONF"
    iniset "$NOVA_CONF" glance rbd_download_fallback "$NOVA_RBD_FALLBACK"
}

if [[ "$1" == "stack" && "$2" == "install" ]]; then
    if is_service_enabled nova; then
        echo_summary "Applying the nova-rbd patch set to $NOVA_DIR"
        nova_rbd_patch
    fi
elif [[ "$1" == "stack" && "$2" == "post-config" ]]; then
    # After devstack-plugin-ceph, which has put disks of servers into RBD and
    # shown locations to users; before local.conf, which has the last word.
    if is_service_enabled g-api; then
        echo_summary "Configuring Glance for nova-rbd"
        nova_rbd_configure_glance
    fi
    if is_service_enabled nova; then
        echo_summary "Configuring Nova for nova-rbd"
        nova_rbd_create_key
        nova_rbd_configure_nova
    fi
elif [[ "$1" == "clean" ]]; then
    nova_rbd_unpatch
fi

# Restore xtrace
$NOVA_RBD_XTRACE

# Tell emacs to use shell-script-mode
## Local variables:
## mode: shell-script
## End:
