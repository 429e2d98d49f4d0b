import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { it } from 'node:test'

const source = join(import.meta.dirname, '..', '..', 'src')

/** What each layer may import besides itself, errors.ts and units.ts; docs/design.md draws the same. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  'errors.ts': [],
  'units.ts': [],
  core: [],
  media: ['core'],
  container: ['core', 'media'],
  wire: ['core', 'media'],
  log: ['core', 'media', 'log/kafka', 'log/embedded'],
  'log/kafka': ['core', 'media', 'log'],
  'log/embedded': ['core', 'media', 'log'],
  relay: ['core', 'media', 'log'],
  gateway: ['core', 'media', 'container', 'wire', 'relay', 'observe'],
  browser: ['core', 'media', 'container', 'wire'],
  observe: ['core'],
  cli: ['core', 'media', 'container', 'wire', 'log', 'relay', 'gateway', 'observe'],
}

const pure = new Set(['errors.ts', 'units.ts', 'core', 'media', 'container', 'wire'])

const layerOf = (file: string): string => {
  const [first = '', second = ''] = relative(source, file).split('/')
  return first === 'log' && (second === 'kafka' || second === 'embedded') ? `log/${second}` : first
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(match => match[1] ?? '')
}

const files = globSync('**/*.ts', { cwd: source }).map(name => join(source, name))

it('every file stands in a layer that has its arrows written down', () => {
  assert.ok(files.length > 20)
  const unknown = files.map(layerOf).filter(layer => !(layer in allowed))
  assert.deepEqual(unknown, [])
})

it('imports follow the arrows between the layers', () => {
  const wrong: string[] = []
  for (const file of files) {
    const from = layerOf(file)
    for (const specifier of importsOf(file)) {
      if (!specifier.startsWith('.')) continue
      const to = layerOf(join(dirname(file), specifier))
      const isOwn = to === from || to === 'errors.ts' || to === 'units.ts'
      if (!isOwn && !allowed[from]?.includes(to)) wrong.push(`${relative(source, file)} imports ${specifier}`)
    }
  }
  assert.deepEqual(wrong, [])
})

it('only the composition of a log knows the backends', () => {
  const backends = files.filter(file => importsOf(file).some(name => /\/(kafka|embedded)\//.test(name)))
  assert.deepEqual(
    backends.map(file => relative(source, file)),
    ['log/open.ts'],
  )
})

it('core, media, container and wire import nothing of Node', () => {
  const wrong = files
    .filter(file => pure.has(layerOf(file)))
    .filter(file => importsOf(file).some(name => name.startsWith('node:')))
  assert.deepEqual(wrong, [])
})

it('nothing in the source imports a test', () => {
  assert.deepEqual(
    files.filter(file => importsOf(file).some(name => name.includes('/test/'))),
    [],
  )
})
