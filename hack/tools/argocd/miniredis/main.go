// Serves the Redis that holds Argo CD's cache during a test. The data is in memory. The only
// argument is the address to listen on.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
)

func main() {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "error: failed to listen:", err)
		os.Exit(1)
	}
	// miniredis has no clock: its user moves the time.
	for range time.Tick(time.Second) {
		server.FastForward(time.Second)
	}
}
