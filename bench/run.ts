/** `make bench`: every part, each with its reference in the same run. */
const parts = {
  record: './overhead.ts',
  demux: './demux.ts',
  log: './log.ts',
  gateway: './gateway.ts',
  ingest: './ingest.ts',
  seek: './seek.ts',
  clip: './clip.ts',
  slow: './slow.ts',
  churn: './churn.ts',
  'fan-out': './fan-out.ts',
  lag: './lag.ts',
  network: './network.ts',
} as const

const wanted = process.argv.slice(2)
for (const [name, file] of Object.entries(parts)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  console.log(`## ${name}`)
  await import(file)
}
