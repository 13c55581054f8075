//go:build ignore

/* No programs: the one object that all map specifications and shared types are
 * taken from. */
#include "maps.h"
#include "decide.h"

char _license[] SEC("license") = "GPL";

/* Types that no map names reach Go only when something refers to them. */
const enum workload_kind *unused_workload_kind __attribute__((unused));
const enum workload_flag *unused_workload_flag __attribute__((unused));
const enum action *unused_action __attribute__((unused));
const enum frontend_flag *unused_frontend_flag __attribute__((unused));
const enum counter *unused_counter __attribute__((unused));
const enum listener_room *unused_listener_room __attribute__((unused));
const enum steering_kind *unused_steering_kind __attribute__((unused));
const enum name_kind *unused_name_kind __attribute__((unused));
const enum session_kind *unused_session_kind __attribute__((unused));
const enum verdict *unused_verdict __attribute__((unused));
const struct request *unused_request __attribute__((unused));
const struct split_part *unused_split_part __attribute__((unused));
