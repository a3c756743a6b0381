// Package doctest tests the READMEs and the other documents: their code
// compiles and runs, their links resolve, and their tables match the code.
package doctest
