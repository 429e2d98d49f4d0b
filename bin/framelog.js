#!/usr/bin/env -S node --max-semi-space-size=8 --no-parallel-scavenge
// The flags keep a gateway's pauses short. With Node's own young generation of 16 MB the old one seems nearly full as soon
// as 35 MB live, and all is marked every 0.9 s, 5-17 ms each time: the longest waits of a frame. With 8 MB that comes once in
// minutes. And the threads that help to collect so little wait for a core longer than they help.
//
// Runs the command line: dist/ in a package, since Node strips no types under node_modules, the sources in a checkout.
// Plain JavaScript for any Node: an older one hands over to the Node 24 that make has brought.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const path = relative => fileURLToPath(new URL(`../${relative}`, import.meta.url))
const main = existsSync(path('dist/src/cli/main.js')) ? 'dist/src/cli/main.js' : 'src/cli/main.ts'
const brought = path('tools/node/node_modules/node/bin/node')

if (Number(process.versions.node.split('.')[0]) >= 24)
  await import(new URL(`../${main}`, import.meta.url).href)
else if (existsSync(brought)) {
  // In a process group of its own, so that it gets each signal once: from here, also where a terminal sends it to all.
  // The channel tells it when this process is gone.
  const child = spawn(brought, [...process.execArgv, path(main), ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    detached: true,
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => {
    if (signal !== null) {
      process.removeAllListeners(signal)
      process.kill(process.pid, signal)
    } else process.exit(code ?? 1)
  })
} else {
  process.stderr.write(
    `framelog needs Node.js 24; this is ${process.versions.node}. In a checkout, make run brings it.\n`,
  )
  process.exitCode = 1
}
