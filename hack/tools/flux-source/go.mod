// Flux's kinds of sources. Nothing of it is built (source-controller takes a C library): its definitions are copied.
// `go mod tidy` would drop the line below, which no program uses.
module rollcall.dev/hack/tools/flux-source

go 1.26.0

require github.com/fluxcd/source-controller v1.9.0
