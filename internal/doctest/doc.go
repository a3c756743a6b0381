// Package doctest tests the documents of the module: their code compiles and
// runs, their links resolve, their tables list what the code has, and each
// translation matches its original. It has no code of its own.
package doctest
