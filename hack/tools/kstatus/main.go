// Computes the status of objects with kstatus, by which Flux and `helm --wait` decide that an
// object is ready.
//
// Reads JSON objects, one after the other. Writes a line for each:
// {"status": "Current", "message": "…"}.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	if err := judge(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func judge(in io.Reader, out io.Writer) error {
	decoder, encoder := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var object unstructured.Unstructured
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("failed to read an object: %w", err)
		}
		result, err := status.Compute(&object)
		if err != nil {
			return fmt.Errorf("failed to judge %s: %w", object.GetName(), err)
		}
		verdict := map[string]string{"status": result.Status.String(), "message": result.Message}
		if err := encoder.Encode(verdict); err != nil {
			return fmt.Errorf("failed to write a verdict: %w", err)
		}
	}
}
