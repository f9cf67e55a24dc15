# Runs build.tcl in a Tcl interpreter without Vivado: its commands note their arguments, and answer what the script asks.
# Variables set before: script, record (file), slack, handoff (text Vivado would write as .hwh), broken_run ("" for none).

set calls {}
array set progress {}

proc note {args} {
    global calls
    lappend calls $args
}

foreach name {
    set_property create_bd_design create_bd_cell make_bd_intf_pins_external connect_bd_intf_net connect_bd_net
    assign_bd_address exclude_bd_addr_seg validate_bd_design save_bd_design add_files update_compile_order
    open_project open_run reset_run wait_on_run report_timing_summary report_utilization report_power
} {
    proc $name {args} "note $name {*}\$args"
}

foreach name {get_bd_cells get_bd_pins get_bd_intf_pins get_bd_addr_spaces get_runs get_files} {
    proc $name {args} {return [lindex $args end]}
}

foreach {name value} {cells "" saif_error ""} {
    if {![info exists $name]} {
        set $name $value
    }
}

# The implemented design: instances of the accelerator, and what reading SAIF says.
proc get_cells {args} {
    global cells
    note get_cells {*}$args
    return $cells
}
proc current_design {args} {return design}
proc read_saif {args} {
    global saif_error
    note read_saif {*}$args
    if {$saif_error ne ""} {
        error $saif_error
    }
    set file [open [dict get [lrange $args 0 end-1] -out_file] w]
    puts $file "u_a/x\nu_b/y"
    close $file
}

proc version {args} {return 2024.1}
proc current_fileset {} {return sources_1}

proc create_project {args} {
    note create_project {*}$args
    file mkdir [lindex $args 2]
}

proc get_bd_addr_segs {args} {
    set of [lindex $args end]
    if {[lindex $args 0] ne "-of_objects"} {
        return $of
    }
    switch -glob $of {
        */S_AXI_HP0 {return [list /$of/HP0_DDR_LOWOCM]}
        */S_AXI_HP0_FPD {return [list /$of/HP0_QSPI /$of/HP0_DDR_HIGH /$of/HP0_DDR_LOW /$of/HP0_LPS_OCM]}
        default {return [list /$of/reg0]}
    }
}

proc generate_target {args} {
    global project handoff
    note generate_target {*}$args
    set folder $project/spikeclip.gen/sources_1/bd/spikeclip/hw_handoff
    file mkdir $folder
    set file [open $folder/spikeclip.hwh w]
    puts -nonewline $file $handoff
    close $file
}

proc make_wrapper {args} {
    global project
    note make_wrapper {*}$args
    return $project/spikeclip_wrapper.v
}

proc launch_runs {run} {
    global progress broken_run
    note launch_runs $run
    set progress($run) [expr {$run eq $broken_run ? "40%" : "100%"}]
}

proc get_timing_paths {args} {return [list [lindex $args end]]}

proc get_property {name of} {
    global progress slack
    switch $name {
        PROGRESS {return [expr {[info exists progress($of)] ? $progress($of) : "0%"}]}
        NEEDS_REFRESH {return 0}
        STATUS {return "route_design ERROR"}
        TOP {return spikeclip_wrapper}
        SLACK {return [dict get $slack $of]}
        default {error "get_property: $name of $of is not known here"}
    }
}

proc write_bitstream {args} {
    note write_bitstream {*}$args
    set file [open [lindex $args end] w]
    puts $file bits
    close $file
}

set failed [catch {source $script} message]
set file [open $record w]
fconfigure $file -encoding utf-8
puts -nonewline $file [join [list $failed $message] \x1f]
foreach call $calls {
    puts -nonewline $file \x1e[join $call \x1f]
}
close $file
