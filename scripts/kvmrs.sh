#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Runs scripts/kvmrs, after installing python3 where a fresh machine lacks it.
set -eu
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if ! command -v python3 >/dev/null; then
	command -v apt-get >/dev/null || {
		echo 'kvm_rs: error: python3 is missing; install it' >&2
		exit 1
	}
	echo '  installing python3'
	as_root apt-get -qq update
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install python3
fi
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
	echo "kvm_rs: error: $(python3 --version) is too old; install Python 3.11 or later" >&2
	exit 1
}
scripts=$(CDPATH='' cd "$(dirname "$0")" && pwd)
PYTHONPATH=$scripts PYTHONDONTWRITEBYTECODE=1 exec python3 -P -m kvmrs "$@"
