/** Builds the bench's part of a page into one script that runs before the page's own. */
import { join } from 'node:path'
import { build } from 'vite'

export async function bundlePage(): Promise<string> {
  const built = await build({
    configFile: false,
    logLevel: 'warn',
    build: {
      write: false,
      minify: false,
      target: 'chrome116',
      lib: {
        entry: join(import.meta.dirname, 'page', 'main.ts'),
        formats: ['iife'],
        name: 'lagBenchScript',
      },
    },
  })
  const outputs = Array.isArray(built) ? built : [built]
  for (const each of outputs) {
    if (!('output' in each)) continue
    const [chunk] = each.output
    return chunk.code
  }
  throw new Error('the script of the bench was not built')
}
