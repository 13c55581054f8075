package identity_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/ca"
)

// A plain host: the built-in authority signs for the workloads that run here, and
// what changes is handed on to whoever configures Envoy.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	td, _ := identity.ParseTrustDomain("cluster.local")
	authority, err := ca.Open(ca.Options{Dir: filepath.Join(dir, "ca"), TrustDomain: td})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer authority.Close()
	bundle, _ := authority.Bundle()

	keeper, _ := identity.NewKeeper(identity.Options{Authority: authority, Log: slog.New(slog.DiscardHandler)})
	keeper.Trust(bundle) // and again when it changes
	cart, _ := identity.New(td, "shop", "cart")
	keeper.Want(cart) // and again when workloads come or go

	ctx, stop := context.WithCancel(context.Background())
	_ = keeper.Run(ctx, func(c identity.Change) {
		if c.Bundle != nil {
			fmt.Println("verify peers by", len(c.Bundle.Roots()), "authority")
		}
		for id, svid := range c.SVIDs {
			fmt.Println("show", id, svid != nil && len(svid.ChainPEM()) > 0 && len(svid.KeyPEM()) > 0)
			stop()
		}
	})
	// Output:
	// verify peers by 1 authority
	// show spiffe://cluster.local/ns/shop/sa/cart true
}
