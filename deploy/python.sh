# Sourced by the scripts beside it: a virtual environment with a Python that swarmd can use.

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# need_package COMMAND PACKAGE: run COMMAND; where it fails, install PACKAGE as root, or name the command to run.
need_package() {
  eval "$1" >/dev/null 2>&1 && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "installing $2"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2"; } >&2 ||
      die "could not install $2"
  else
    die "$2 is missing. Run: sudo apt-get install -y $2"
  fi
}

# make_venv DIRECTORY: with nothing installed yet.
make_venv() {
  need_package 'command -v python3' python3
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "swarmd needs Python 3.11 or newer"
  need_package 'python3 -c "import ensurepip, venv"' python3-venv
  [ -x "$1/bin/python" ] || python3 -m venv "$1"
}
