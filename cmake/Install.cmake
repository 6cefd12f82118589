# install: the program, the sample configuration (never over one that is there) and the man pages, so far as they exist.
install(TARGETS upgate RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

# The folder follows the prefix that is in force when installing; for /usr it is /etc, as everywhere.
if(EXISTS ${PROJECT_SOURCE_DIR}/conf/upgate.yaml)
    install(CODE "
        set(folder \"${CMAKE_INSTALL_SYSCONFDIR}/upgate\")
        if(CMAKE_INSTALL_PREFIX STREQUAL \"/usr\" AND NOT IS_ABSOLUTE \"\${folder}\")
            set(folder \"/\${folder}\")
        endif()
        cmake_path(ABSOLUTE_PATH folder BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\")
        if(EXISTS \"\$ENV{DESTDIR}\${folder}/upgate.yaml\")
            message(STATUS \"Kept: \$ENV{DESTDIR}\${folder}/upgate.yaml\")
        else()
            file(INSTALL \"${PROJECT_SOURCE_DIR}/conf/upgate.yaml\" DESTINATION \"\${folder}\")
        endif()")
endif()

file(GLOB man_pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/conf/*.[1-8] ${PROJECT_SOURCE_DIR}/gateway/*.[1-8])
foreach(page IN LISTS man_pages)
    string(REGEX MATCH "[1-8]$" section ${page})
    install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
