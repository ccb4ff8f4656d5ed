#!/bin/bash
#
# devstack/plugin.sh
# Puts the patch set onto devstack's Nova and configures Ceph, Glance and Nova
# for direct RBD image downloads to local disks. Needs devstack-plugin-ceph,
# enabled before this one.

# ``stack.sh`` calls the entry points in this order:
#
# - nova_rbd_check_plugins
# - nova_rbd_check_release
# - nova_rbd_patch
# - nova_rbd_install_command
# - nova_rbd_create_key
# - nova_rbd_configure_glance
# - nova_rbd_configure_nova
# - nova_rbd_check_configuration (twice: local.conf comes in between)
# - nova_rbd_unpatch (clean.sh only)

# Save trace setting
NOVA_RBD_XTRACE=$(set +o | grep xtrace)
set +o xtrace

NOVA_RBD_PATCHSET=$NOVA_RBD_DIR/tools/nova_patchset.py

# nova_rbd_check_plugins() - End devstack unless devstack-plugin-ceph is
# enabled, and before this plugin
# Each plugin overrides what those before it have configured. The other way
# round devstack would end well, with disks in RBD and locations that every
# user sees.
function nova_rbd_check_plugins {
    local plugins=,$DEVSTACK_PLUGINS,
    local lines="enable_plugin devstack-plugin-ceph ... and enable_plugin nova-rbd ..."
    if [[ $plugins != *,devstack-plugin-ceph,* ]]; then
        die $LINENO "devstack-plugin-ceph is not enabled, which sets up Ceph for nova-rbd. Put two lines into local.conf, in this order: $lines"
    elif [[ ${plugins%%,nova-rbd,*}, != *,devstack-plugin-ceph,* ]]; then
        die $LINENO "nova-rbd is enabled before devstack-plugin-ceph, which would override it. Swap two lines of local.conf, to this order: $lines"
    elif [[ $ENABLE_CEPH_GLANCE == "False" ]]; then
        die $LINENO "ENABLE_CEPH_GLANCE is False: no image would be in RBD. Take it out of local.conf."
    fi
}

# nova_rbd_releases() - Print the releases of Nova that the patch set is for
function nova_rbd_releases {
    sed -n 's/^\[\([0-9.]*\)\]$/\1/p' "$NOVA_RBD_DIR/patches/upstream.ini"
}

# nova_rbd_series() - Print the series of a release, as in stable/SERIES
# There have been two a year since 29, which is 2024.1.
function nova_rbd_series {
    local number
    number=$(( ${1%%.*} - 29 ))
    echo "$(( 2024 + number / 2 )).$(( 1 + number % 2 ))"
}

# nova_rbd_remedy() - Print how Nova gets a release that the patch set is for
function nova_rbd_remedy {
    local release remedy="" or=""
    for release in $(nova_rbd_releases); do
        remedy+="${or}NOVA_BRANCH=$release with the branch $(nova_rbd_series "$release")"
        or=", or "
    done
    echo "Use $remedy (stable/, or unmaintained/ later) of devstack and devstack-plugin-ceph, and let devstack clone Nova again (remove $NOVA_DIR, or set RECLONE=True)."
}

# nova_rbd_knows_branch() - Whether a branch or tag of Nova may be a release
# that the patch set is for; the name of a commit or change says nothing
function nova_rbd_knows_branch {
    local release series
    for release in $(nova_rbd_releases); do
        series=$(nova_rbd_series "$release")
        case $1 in
            "${release%%.*}".*|stable/$series|unmaintained/$series|$series-eol)
                return 0;;
        esac
    done
    case $1 in
        master|main|stable/*|unmaintained/*|*-eol|*-eom|[1-9][0-9].*) return 1;;
    esac
}

# nova_rbd_check_release() - End devstack when Nova is, or is going to be, of a
# release that the patch set is not for
function nova_rbd_check_release {
    local status=0
    if [[ ! -d $NOVA_DIR || "$RECLONE" == "True" || $NOVA_BRANCH == refs/* ]]; then
        if ! nova_rbd_knows_branch "$NOVA_BRANCH"; then
            die $LINENO "The patch set is not for NOVA_BRANCH=$NOVA_BRANCH. $(nova_rbd_remedy)"
        fi
    else
        # devstack takes the checkout as it is.
        python3 "$NOVA_RBD_PATCHSET" check "$NOVA_DIR" || status=$?
        # It is applied, or fits, or holds something of it: that is decided
        # when it is applied.
        [[ $status == [034] ]] || nova_rbd_die_of_tree
    fi
    # The requirements of a Nova of another time may contradict what devstack
    # installs for the other services.
    if ! nova_rbd_knows_branch "$TARGET_BRANCH" || [[ $NOVA_BRANCH == [0-9]*.* &&
            $TARGET_BRANCH != */"$(nova_rbd_series "$NOVA_BRANCH")" ]]; then
        warn $LINENO "This devstack is of the branch $TARGET_BRANCH, and so are all services but Nova, which is of $NOVA_BRANCH: pip may find that their requirements contradict each other. $(nova_rbd_remedy)"
    fi
}

# nova_rbd_die_of_tree() - End devstack as the patch set does not fit Nova
# Either somebody has changed the checkout, or it is of another release: the
# commit that is checked out, without the changes, shows which.
function nova_rbd_die_of_tree {
    local commit status=0
    commit=$(mktemp -d)
    git -C "$NOVA_DIR" archive HEAD nova | tar -x -C "$commit" || :
    python3 "$NOVA_RBD_PATCHSET" check "$commit" >/dev/null 2>&1 || status=$?
    rm -r "$commit"
    if [[ $status -eq 4 ]]; then
        die $LINENO "$NOVA_DIR was changed locally, in a way that the patch set does not fit. 'git -C $NOVA_DIR diff HEAD' shows the changes. Undo them: 'python3 $NOVA_RBD_PATCHSET revert --keep-changed $NOVA_DIR', then 'git -C $NOVA_DIR stash'."
    fi
    die $LINENO "$NOVA_DIR ($(git -C "$NOVA_DIR" describe --tags --always 2>&1)) is not a release of Nova that the patch set is for. $(nova_rbd_remedy)"
}

# nova_rbd_patch() - Apply the patch set to Nova's source tree
function nova_rbd_patch {
    if ! python3 "$NOVA_RBD_PATCHSET" apply "$NOVA_DIR"; then
        nova_rbd_die_of_tree
    fi
}

# nova_rbd_unpatch() - Put Nova's source tree back as it was
function nova_rbd_unpatch {
    if [[ -d $NOVA_DIR ]]; then
        python3 "$NOVA_RBD_PATCHSET" revert --keep-changed "$NOVA_DIR"
    fi
    sudo rm -f "$NOVA_RBD_COMMAND"
}

# nova_rbd_install_command() - Put nova-image-download into the path
# It needs the interpreter that devstack has installed Nova for.
function nova_rbd_install_command {
    local python
    python=$(get_python_exec_prefix)/python3
    [[ -x $python ]] || python=$(command -v python3)
    printf '#!/bin/sh\nexec %s -m nova.cmd.image_download "$@"\n' "$python" | \
        sudo tee "$NOVA_RBD_COMMAND" >/dev/null
    sudo chmod 0755 "$NOVA_RBD_COMMAND"
}

# nova_rbd_keyring() - Print where the key of Nova is
function nova_rbd_keyring {
    echo "$(dirname "$NOVA_RBD_CEPH_CONF")/ceph.client.$NOVA_RBD_CEPH_USER.keyring"
}

# nova_rbd_create_key() - Make a key that can read images and nothing else
# The key of a subnode comes from the controller, with all of /etc/ceph.
function nova_rbd_create_key {
    local keyring
    keyring=$(nova_rbd_keyring)
    if [[ "$REMOTE_CEPH" == "False" ]]; then
        # Private before there is a key in it.
        sudo install -m 0600 -o "$STACK_USER" /dev/null "$keyring"
        sudo ceph --conf "$NOVA_RBD_CEPH_CONF" auth get-or-create \
            "client.$NOVA_RBD_CEPH_USER" mon "allow r" \
            osd "profile rbd-read-only pool=$NOVA_RBD_POOL" -o "$keyring"
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

# nova_rbd_check_configuration() - End devstack if the files of services do not
# hold what the plugin is about, whatever has written to them since
# $1 is the file that nova-compute reads.
function nova_rbd_check_configuration {
    local nova_conf=$1 option value keyring
    if is_service_enabled g-api; then
        for option in show_multiple_locations show_image_direct_url; do
            value=$(iniget "$GLANCE_API_CONF" DEFAULT $option)
            # The other spellings of oslo.config, and what is no boolean.
            if [[ ! ${value,,} =~ ^(false|no|off|0)?$ ]]; then
                die $LINENO "$GLANCE_API_CONF has $option = $value: users see where images are. See what sets it, a plugin that is enabled after nova-rbd or a section of local.conf."
            fi
        done
    fi
    if is_service_enabled n-cpu; then
        value=$(iniget "$nova_conf" libvirt images_type)
        if [[ $value == "rbd" ]]; then
            die $LINENO "$nova_conf has [libvirt]images_type = rbd: Nova would clone images and download none. See what sets it: NOVA_RBD_IMAGES_TYPE, a plugin that is enabled after nova-rbd, or a section of local.conf."
        fi
        keyring=$(nova_rbd_keyring)
        if ! sudo test -s "$keyring"; then
            die $LINENO "There is no $keyring: Nova cannot read images from Ceph. On a subnode, copy all of $(dirname "$keyring") from the controller, once its stack.sh has ended; elsewhere, see what 'ceph auth get client.$NOVA_RBD_CEPH_USER' says."
        elif [[ "$(sudo stat -c %U:%a "$keyring")" != "$STACK_USER":[46]00 ]]; then
            die $LINENO "$keyring is not a file of $STACK_USER that nobody else can read: $(sudo stat -c '%U, %a' "$keyring"). Give it to $STACK_USER, with mode 0600."
        fi
    fi
}

if [[ "$1" == "stack" && "$2" == "pre-install" ]]; then
    nova_rbd_check_plugins
    if is_service_enabled nova; then
        nova_rbd_check_release
    fi
elif [[ "$1" == "stack" && "$2" == "install" ]]; then
    if is_service_enabled nova; then
        echo_summary "Applying the nova-rbd patch set to $NOVA_DIR"
        nova_rbd_patch
        nova_rbd_install_command
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
    nova_rbd_check_configuration "$NOVA_CONF"
elif [[ "$1" == "stack" && "$2" == "extra" ]]; then
    # The services run, with all that local.conf has added.
    nova_rbd_check_configuration "$NOVA_CPU_CONF"
elif [[ "$1" == "clean" ]]; then
    nova_rbd_unpatch
fi

# Restore xtrace
$NOVA_RBD_XTRACE

# Tell emacs to use shell-script-mode
## Local variables:
## mode: shell-script
## End:
