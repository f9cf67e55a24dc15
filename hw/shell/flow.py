"""The parts of build.tcl that are the same for every network and board."""

from __future__ import annotations

# Filled in with board, part and clk_mhz; braces of Tcl are doubled.
OPENING = """\
# Bitstream for {board} ({part}), {clk_mhz} MHz: vivado -mode batch -source build.tcl
#
# Written by hw/shell/tcl.py. Gives accelerator.bit, accelerator.hwh and reports/ beside this script; started again
# it goes on where it stopped. Needs neither HLS nor board files, so that Vivado's free edition does for the parts it
# covers; as far as we know that is all of this project's Zynq boards but the ZCU102.
#
# NOT RUN IN VIVADO YET. It was checked against the RTL in a Tcl interpreter in which Vivado's commands do nothing.
#
# The processing system is set up as far as the fabric sees it (clock, reset, two AXI ports). DDR and MIO settings
# are those of the boot loader on the board's SD card image and are not touched when PYNQ loads a bitstream. Do not
# make a boot loader from this design: it lacks the vendor's preset of the board.

set here [file dirname [file normalize [info script]]]
set part {part}
set clk_mhz {clk_mhz}
set project $here/project

proc say {{text}} {{
    puts "spikeclip: $text"
    flush stdout
}}

# Give a slave interface its address range in a master's address space, and hide its other ranges from it.
proc place_slave {{space slave offset range}} {{
    set segments [get_bd_addr_segs -of_objects [get_bd_intf_pins $slave]]
    set memory [lsearch -all -inline -glob $segments *DDR_LOW*]
    set chosen [lindex [concat $memory $segments] 0]
    if {{$chosen eq ""}} {{
        error "$slave: has no address segment; expected one to place at $offset"
    }}
    assign_bd_address -force -target_address_space [get_bd_addr_spaces $space] -offset $offset -range $range \\
        [get_bd_addr_segs $chosen]
    foreach segment $segments {{
        if {{$segment ne $chosen}} {{
            # It only spares a warning of an unassigned range, so that its failure does no harm.
            catch {{exclude_bd_addr_seg -target_address_space [get_bd_addr_spaces $space] [get_bd_addr_segs $segment]}}
        }}
    }}
}}

"""

# How `spikeclip activity --saif` reaches report_power.
POWER = r"""
# Copy the accelerator's part of a SAIF file into the hierarchy of the design, below the instances of path. Return the
# number of nets, 0 if the file has no such instance.
proc graft_saif {from to module path} {
    set in [open $from r]
    set out [open $to w]
    fconfigure $out -translation lf
    set indent ""
    set inside 0
    set nets 0
    while {[gets $in line] >= 0} {
        if {$inside} {
            if {$line eq "$indent)"} {
                break
            }
            incr nets [regexp {\(TC \d+\)} $line]
            puts $out $line
        } elseif {[string trim $line] eq "(INSTANCE $module"} {
            set inside 1
            set indent [string range $line 0 [expr {[string first "(" $line] - 1}]]
            foreach name $path {
                puts $out "(INSTANCE $name"
            }
        } elseif {[string index $line 0] ne " " && $line ne ")"} {
            puts $out $line
        }
    }
    puts $out [string repeat ")\n" [expr {$inside ? [llength $path] + 1 : 1}]]
    close $in
    close $out
    return $nets
}

# Give the implemented design the counts of activity.saif, if it lies beside this script. A file that does not fit is
# told and costs nothing but the exactness of power.rpt.
proc take_activity {module} {
    global here
    if {![file exists $here/activity.saif]} {
        say "no activity.saif: the power report assumes Vivado's own switching activity\
            (spikeclip activity BUILD_FOLDER --saif vivado/activity.saif counts it)"
        return
    }
    # Vivado names the modules of a design anew; the original name stays with the cell.
    set cells [get_cells -hierarchical -filter "ORIG_REF_NAME == $module || REF_NAME == $module"]
    if {[llength $cells] != 1} {
        say "activity.saif is not used: [llength $cells] instances of $module in the implemented design"
        return
    }
    set top [get_property TOP [current_design]]
    set grafted $here/reports/activity.saif
    set unmatched $here/reports/activity_unmatched.txt
    set nets [graft_saif $here/activity.saif $grafted $module [concat $top [split [lindex $cells 0] /]]]
    if {$nets == 0} {
        say "activity.saif is not used: it has no nets of $module"
        return
    }
    if {[catch {read_saif -strip_path $top -out_file $unmatched $grafted} reason]} {
        say "activity.saif is not used: $reason"
        return
    }
    set missed "an unknown number"
    if {[file exists $unmatched]} {
        set missed [regexp -all -line {^.+$} [read_text $unmatched]]
    }
    say "activity.saif: $nets nets of the simulation at [lindex $cells 0], $missed lines in\
        reports/activity_unmatched.txt of those Vivado does not have"
}
"""

PATCH = r"""
# pynq 4.0.0 looks the fabric clocks of a Zynq-7000 up by the UltraScale+ name and stops at a TypeError without it.
proc name_clocks {text} {
    for {set i 0} {$i < 4} {incr i} {
        set wanted PSU__CRL_APB__PL${i}_REF_CTRL__ACT_FREQMHZ
        set element "<PARAMETER\\s+NAME=\"PCW_ACT_FPGA${i}_PERIPHERAL_FREQMHZ\"\\s+VALUE=\"(\[^\"]*)\"\\s*/>"
        if {[string first "\"$wanted\"" $text] < 0} {
            regsub $element $text "&\n<PARAMETER NAME=\"$wanted\" VALUE=\"\\1\"/>" text
        }
    }
    return $text
}

proc read_text {path} {
    set file [open $path r]
    fconfigure $file -encoding utf-8
    set text [read $file]
    close $file
    return $text
}

proc write_text {path text} {
    set file [open $path w]
    fconfigure $file -encoding utf-8 -translation lf
    puts -nonewline $file $text
    close $file
}

# Launch a run unless it is done, and wait for it.
proc finish_run {run} {
    global project
    set done [expr {[get_property PROGRESS [get_runs $run]] eq "100%"}]
    if {!$done || [get_property NEEDS_REFRESH [get_runs $run]]} {
        say "$run"
        reset_run $run
        launch_runs $run
        wait_on_run $run
    }
    if {[get_property PROGRESS [get_runs $run]] ne "100%"} {
        error "$run: [get_property STATUS [get_runs $run]]; the reason is in $project/spikeclip.runs/$run/runme.log"
    }
}

# Return the worst slack in ns of a kind of path, setup or hold.
proc worst_slack {kind} {
    set path [get_timing_paths -max_paths 1 -delay_type [dict get {setup max hold min} $kind]]
    if {[llength $path] != 1} {
        error "timing: no constrained $kind path; the fabric clock has no constraint"
    }
    return [get_property SLACK $path]
}
"""

CLOSING = r"""
say "Vivado [version -short]"
set stamp $project/designed
if {[file exists $stamp] && [read_text $stamp] eq $key} {
    say "going on with the project there is"
    open_project $project/spikeclip.xpr
} else {
    say "block design"
    create_project -force spikeclip $project -part $part
    set files {}
    foreach name [concat $sources $headers $memories] {
        lappend files [file normalize [file join $here $name]]
    }
    add_files -norecurse $files
    if {[llength $headers] > 0} {
        set folder [file dirname [file normalize [file join $here [lindex $headers 0]]]]
        set_property include_dirs $folder [current_fileset]
    }
    update_compile_order -fileset sources_1
    make_design
    # In one piece with the rest: a synthesis apart would not see the memory files.
    set_property synth_checkpoint_mode None [get_files spikeclip.bd]
    generate_target all [get_files spikeclip.bd]
    add_files -norecurse [make_wrapper -files [get_files spikeclip.bd] -top]
    set_property top spikeclip_wrapper [current_fileset]
    update_compile_order -fileset sources_1
    write_text $stamp $key
}

finish_run synth_1
finish_run impl_1
say "reports"
open_run impl_1
file mkdir $here/reports
report_timing_summary -file $here/reports/timing.txt
report_utilization -hierarchical -file $here/reports/utilization.txt
take_activity spikeclip_accelerator
report_power -file $here/reports/power.rpt
set setup [worst_slack setup]
set hold [worst_slack hold]
if {$setup < 0 || $hold < 0} {
    error "timing is not met at $clk_mhz MHz: worst slack of setup $setup ns, of hold $hold ns\
        (reports/timing.txt); build with a lower clock"
}

say "bitstream"
set handoffs [glob -nocomplain -directory $project -types f \
    spikeclip.gen/sources_1/bd/spikeclip/hw_handoff/spikeclip.hwh \
    spikeclip.srcs/sources_1/bd/spikeclip/hw_handoff/spikeclip.hwh]
if {[llength $handoffs] == 0} {
    error "$project: expected a spikeclip.hwh of the block design; delete that folder and start again"
}
write_bitstream -force $here/accelerator.bit
write_text $here/accelerator.hwh [name_clocks [read_text [lindex $handoffs 0]]]
write_text $here/reports/result.json "{\"vivado\": \"[version -short]\", \"clk_mhz\": $clk_mhz,\
    \"setup_slack_ns\": $setup, \"hold_slack_ns\": $hold}\n"
say "done: accelerator.bit and accelerator.hwh in $here"
"""
