//go:build ignore

// Command api prints the exported declarations of the packages in the given
// folders, without comments and bodies, so that diff shows a change of the API.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"log"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

func main() {
	for _, dir := range os.Args[1:] {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			log.Fatal(err)
		}
		var lines []string
		for _, name := range files {
			if !strings.HasSuffix(name, "_test.go") {
				lines = append(lines, exported(name)...)
			}
		}
		sort.Strings(lines)
		fmt.Printf("== %s\n%s\n", dir, strings.Join(lines, "\n"))
	}
}

// exported returns the exported declarations of a file.
func exported(name string) (lines []string) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
	if err != nil {
		log.Fatal(err)
	}
	if !ast.FileExports(file) {
		return nil
	}
	add := func(node ast.Node) {
		ast.Inspect(node, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.StructType:
				n.Incomplete = false // prints no comment about unexported fields
			case *ast.InterfaceType:
				n.Incomplete = false
			}
			return true
		})
		var b bytes.Buffer
		// An empty FileSet has no positions, so that the layout of the source does
		// not matter.
		if err := printer.Fprint(&b, token.NewFileSet(), node); err != nil {
			log.Fatal(err)
		}
		lines = append(lines, b.String())
	}
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			decl.Body = nil
			if decl.Recv == nil || isExported(decl.Recv.List[0].Type) {
				add(decl)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				add(&ast.GenDecl{Tok: decl.Tok, Specs: []ast.Spec{spec}})
			}
		}
	}
	return lines
}

// isExported reports whether a receiver's type is exported.
func isExported(t ast.Expr) bool {
	switch t := t.(type) {
	case *ast.StarExpr:
		return isExported(t.X)
	case *ast.IndexExpr:
		return isExported(t.X)
	case *ast.Ident:
		return t.IsExported()
	}
	return true
}
