# Run by cpack over what was installed, before the package is made: what Debian wants otherwise than `cmake --install` puts it.
set(share ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr/share)
file(COPY_FILE ${CMAKE_CURRENT_LIST_DIR}/../CHANGELOG.md ${share}/doc/upgate/changelog)
file(GLOB pages ${share}/man/man*/*.[1-8])
execute_process(COMMAND gzip -9n ${pages} ${share}/doc/upgate/changelog COMMAND_ERROR_IS_FATAL ANY)
