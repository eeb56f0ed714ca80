// SPDX-License-Identifier: GPL-2.0

// Counts the expiries of the timers of each map for a while, with cilium/ebpf:
// expiries OBJECT DURATION
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: expiries OBJECT DURATION")
	}
	duration, err := time.ParseDuration(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	objects, err := ebpf.LoadCollection(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	defer objects.Close()
	attached, err := link.AttachTracing(link.TracingOptions{Program: objects.Programs["on_expire"]})
	if err != nil {
		log.Fatal(err)
	}
	defer attached.Close()

	time.Sleep(duration)
	var mapID uint32
	var count uint64
	entries := objects.Maps["expiries"].Iterate()
	for entries.Next(&mapID, &count) {
		fmt.Printf("map %d: %d expiries\n", mapID, count)
	}
	if err := entries.Err(); err != nil {
		log.Fatal(err)
	}
}
