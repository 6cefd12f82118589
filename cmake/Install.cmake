# install: the program, its manual, what shells, systemd and logrotate want of it, examples, and a first configuration, never over one that is
# there. Folders follow the prefix that is in force when installing; for /usr the configuration's is /etc, as everywhere.
install(TARGETS upgate RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

set(doc ${CMAKE_INSTALL_DATAROOTDIR}/doc/upgate)
install(FILES ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${doc})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${doc} RENAME copyright)
install(FILES ${PROJECT_SOURCE_DIR}/conf/upgate.yaml DESTINATION ${doc}/examples RENAME sample.yaml)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/conf/examples/ DESTINATION ${doc}/examples)

install(FILES ${PROJECT_SOURCE_DIR}/conf/completion/upgate.bash DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/bash-completion/completions RENAME upgate)
install(FILES ${PROJECT_SOURCE_DIR}/conf/completion/_upgate DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/zsh/vendor-completions)

# The manual of the configuration is what the program itself says of it. A program with sanitizers does not run everywhere.
set(pages ${PROJECT_SOURCE_DIR}/conf/man/upgate.8 ${PROJECT_SOURCE_DIR}/conf/man/upgate-fcgi.1)
if(NOT UPGATE_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
    set(page ${PROJECT_BINARY_DIR}/upgate.yaml.5)
    add_custom_command(OUTPUT ${page} COMMAND upgate --man > ${page} DEPENDS upgate VERBATIM)
    add_custom_target(manual ALL DEPENDS ${page})
    list(APPEND pages ${page})
endif()
foreach(page IN LISTS pages)
    string(REGEX MATCH "[1-8]$" section ${page})
    install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

install(CODE "
    set(from \"${PROJECT_SOURCE_DIR}/conf\")
    set(sysconf \"${CMAKE_INSTALL_SYSCONFDIR}\")
    if(CMAKE_INSTALL_PREFIX STREQUAL \"/usr\" AND NOT IS_ABSOLUTE \"\${sysconf}\")
        set(sysconf \"/\${sysconf}\")
    endif()
    cmake_path(ABSOLUTE_PATH sysconf BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\")

    # What is in the unit files of this program's place is that of a package.
    foreach(pair upgate.service|systemd/system/upgate.service upgate.socket|systemd/system/upgate.socket upgate.sysusers|sysusers.d/upgate.conf)
        string(REPLACE \"|\" \";\" pair \"\${pair}\")
        list(GET pair 0 name)
        list(GET pair 1 place)
        file(READ \"\${from}/\${name}\" text)
        string(REPLACE \"/usr/bin/upgate\" \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/upgate\" text \"\${text}\")
        string(REPLACE \"/etc/upgate/\" \"\${sysconf}/upgate/\" text \"\${text}\")
        file(WRITE \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/\${place}\" \"\${text}\")
        list(APPEND CMAKE_INSTALL_MANIFEST_FILES \"\${CMAKE_INSTALL_PREFIX}/lib/\${place}\")
    endforeach()

    foreach(pair package/first.yaml|upgate/upgate.yaml upgate.logrotate|logrotate.d/upgate)
        string(REPLACE \"|\" \";\" pair \"\${pair}\")
        list(GET pair 0 name)
        list(GET pair 1 place)
        if(EXISTS \"\$ENV{DESTDIR}\${sysconf}/\${place}\")
            message(STATUS \"Kept: \$ENV{DESTDIR}\${sysconf}/\${place}\")
        else()
            file(READ \"\${from}/\${name}\" text)
            file(WRITE \"\$ENV{DESTDIR}\${sysconf}/\${place}\" \"\${text}\")
            message(STATUS \"Installing: \$ENV{DESTDIR}\${sysconf}/\${place}\")
        endif()
    endforeach()")
