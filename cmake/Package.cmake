# package: `cpack -G DEB` in a release's build folder makes upgate_VERSION_ARCH.deb. tests/package/run installs it in an empty Debian.
#
# Debian wants manual pages and the list of changes compressed: package_finish.cmake.
# What the program needs of other packages is read from it (dpkg-shlibdeps); libraries that were built here are inside it.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME upgate)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "WebSocket-aware HTTP gateway")
set(CPACK_PACKAGE_DESCRIPTION "Reverse proxy for HTTP, WebSocket and FastCGI applications, with TLS.
 An upgrade is judged before a byte of it passes; after it a connection is
 a pipe of verified frames, so that tunnels can be pinged, limited, drained
 and explained.")
set(CPACK_PACKAGE_CONTACT "Upgate maintainers <upgate@localhost>")
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION httpd)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "passwd")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${PROJECT_SOURCE_DIR}/conf/package/conffiles ${PROJECT_SOURCE_DIR}/conf/package/postinst
    ${PROJECT_SOURCE_DIR}/conf/package/prerm ${PROJECT_SOURCE_DIR}/conf/package/postrm)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/package_finish.cmake)
include(CPack)
