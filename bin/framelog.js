#!/usr/bin/env node
// The package carries dist/, since Node strips no types under node_modules; a checkout runs its sources.
import { existsSync } from 'node:fs'

const built = new URL('../dist/src/cli/main.js', import.meta.url)
await import(existsSync(built) ? built.href : new URL('../src/cli/main.ts', import.meta.url).href)
