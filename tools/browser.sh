#!/bin/sh
# Install with apt what `make test` needs besides Python: a browser with a font. Where there is a
# browser, nothing is asked of apt.
PACKAGES="chromium fonts-dejavu-core"
for browser in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$browser" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ]; then as=
elif sudo -n true 2>/dev/null; then as=sudo
else as=no
fi
if [ "$as" = no ] || ! command -v apt-get >/dev/null; then
    echo "make test needs a browser: install one with, for instance, sudo apt-get install $PACKAGES" >&2
    exit 1
fi
$as apt-get update -qq &&
    $as env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $PACKAGES
