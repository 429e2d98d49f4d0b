/** The pages: three entries, hashed assets under `assets/`. The worklets become files of their own. */
import { join } from 'node:path'
import { defineConfig } from 'vite'

const pages = join(import.meta.dirname, 'src', 'browser', 'pages')

export default defineConfig({
  root: pages,
  base: '/',
  publicDir: false,
  build: {
    outDir: join(import.meta.dirname, 'build', 'pages'),
    emptyOutDir: true,
    target: ['chrome116', 'firefox130', 'safari17'],
    sourcemap: true,
    // A worklet's module is fetched by its address: inlined as data it breaks a strict content security policy.
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: {
        home: join(pages, 'index.html'),
        studio: join(pages, 'static', 'index.html'),
        watch: join(pages, 'watch', 'index.html'),
      },
    },
  },
})
