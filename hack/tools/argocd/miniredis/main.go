// The Redis that Argo CD keeps its cache in, while a test runs: in memory, and at no other place than the address it is given.
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
	// Its clock is its user's.
	for range time.Tick(time.Second) {
		server.FastForward(time.Second)
	}
}
