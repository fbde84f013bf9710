# Forwards to meson: make, make check, make demo, make install, make clean.
all:
	@tools/packages.sh build
	@tools/build.sh build
check demo:
	@./$@
test: all
	@meson test -C build --print-errorlogs
install: all
	@meson install -C build
clean:
	rm -rf build build-check build-asan demo.mp4
.PHONY: all check demo test install clean
