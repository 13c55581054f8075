// Package bpf holds the programs that run in the kernel, written in C, and the
// bindings to them that bpf2go generates.
//
// It owns the layout of the maps (types.h, maps.h) and all that happens at a
// socket call. It must not know the model: package redirect translates. One
// .bpf.c file holds the programs of one family of attach points; one header
// holds one concern; their logic is in inline functions, so that
// selftest.bpf.c can run it in a test.
package bpf

//go:generate go tool bpf2go -target bpfel -type addr -type split_part -type workload_kind -type workload_flag -type action -type frontend_flag -type counter -type steering_kind -type listener_room -type name_kind -type session_kind -type verdict -type request tables tables.bpf.c -- -O2 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
//go:generate go tool bpf2go -target bpfel -no-global-types connect connect.bpf.c -- -O2 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
//go:generate go tool bpf2go -target bpfel -no-global-types udp udp.bpf.c -- -O2 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
//go:generate go tool bpf2go -target bpfel -no-global-types peername peername.bpf.c -- -O2 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
//go:generate go tool bpf2go -target bpfel -no-global-types sockops sockops.bpf.c -- -O2 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
//go:generate go tool bpf2go -target bpfel -no-global-types origdst origdst.bpf.c -- -O2 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
//go:generate go tool bpf2go -target bpfel -no-global-types bind bind.bpf.c -- -O2 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
//go:generate go tool bpf2go -target bpfel -no-global-types gateway gateway.bpf.c -- -O2 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
//go:generate go tool bpf2go -target bpfel -no-global-types selftest selftest.bpf.c -- -O2 -Wall -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
