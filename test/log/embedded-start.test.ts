/** A start that has much to check: the process answers meanwhile, and may be ended at any moment. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { findFault } from '../../src/log/embedded/check.ts'
import { openEmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import { longWork, Pace } from '../../src/log/embedded/pace.ts'
import { PageFile } from '../../src/log/embedded/pages.ts'
import { scan } from '../../src/log/embedded/salvage.ts'
import { millis } from '../../src/units.ts'

const root = mkdtempSync(join(tmpdir(), 'framelog-start-'))
after(() => rmSync(root, { recursive: true, force: true }))

const megabytes = 48
const source = join(import.meta.dirname, '..', '..', 'src', 'log', 'embedded', 'embedded-log.ts')

/** A store that a start must check as a whole; where it is `broken`, in one record in its middle. */
async function make(broken: boolean): Promise<string> {
  const dir = mkdtempSync(join(root, 'log-'))
  const middle = randomBytes(1_000_000)
  {
    await using log = await openEmbeddedLog({ dir })
    const topic = await log.create('a', {})
    for (let i = 0; i < megabytes; i++) {
      const value = i === megabytes / 2 ? middle : randomBytes(1_000_000)
      await log.append(topic, [{ key: 'video', value, headers: [], timestamp: millis(i) }])
    }
  }
  if (!broken) rmSync(join(dir, 'log.json'))
  else {
    const bytes = readFileSync(join(dir, 'log.mdb'))
    bytes.writeUInt8(bytes.readUInt8(bytes.indexOf(middle)) ^ 1, bytes.indexOf(middle))
    writeFileSync(join(dir, 'log.mdb'), bytes)
  }
  return dir
}

/** Turns that others have meanwhile. Nothing here waits for the disk: without turns of its own it leaves none. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0
  let timer = setImmediate(function count() {
    turns += 1
    timer = setImmediate(count)
  })
  await work()
  clearImmediate(timer)
  return turns
}

describe('a long start', { timeout: 60_000 }, () => {
  it('leaves turns to others, every few MiB', async () => {
    using pages = new PageFile(join(await make(false), 'log.mdb'))
    const [meta] = pages.metas
    assert.ok(meta)
    const checking = await turnsDuring(async () =>
      assert.equal(await findFault(pages, meta, new Pace(pages.size)), undefined),
    )
    assert.ok(checking >= megabytes / 8, `${checking} turns`)
    const searching = await turnsDuring(() => scan(pages, new Pace(pages.size)))
    assert.ok(searching >= megabytes / 8, `${searching} turns`)
  })

  it('leaves the store as it was where it is ended while it is built anew', async () => {
    const dir = await make(true)
    const damaged = readFileSync(join(dir, 'log.mdb'))
    const script = `
      import { existsSync } from 'node:fs'
import { openEmbeddedLog } from ${JSON.stringify(pathToFileURL(source).href)}
      const look = () => existsSync('log-rebuilt.mdb') ? process.kill(process.pid, 'SIGTERM') : setImmediate(look)
      look()
      await openEmbeddedLog({ dir: '.' })
      process.exit(3)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: dir,
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    const [, signal] = await once(child, 'close')
    assert.equal(signal, 'SIGTERM')
    assert.ok(readFileSync(join(dir, 'log.mdb')).equals(damaged), 'nothing was changed')
    await using log = await openEmbeddedLog({ dir })
    const topic = await log.find('a')
    assert.deepEqual(topic && (await log.bounds(topic)), { first: 0, next: megabytes / 2 })
    assert.deepEqual(
      readdirSync(dir).filter(name => name.startsWith('log-rebuilt')),
      [],
    )
  })

  it('says at every tenth how far it is, where it takes a while', async () => {
    const run = async (total: number): Promise<number[]> => {
      const said: number[] = []
      const pace = new Pace(total, part => said.push(part))
      for (let i = 0; i < 100; i++) {
        pace.add(total / 100)
        if (pace.isDue) await pace.turn()
      }
      return said
    }
    assert.deepEqual(await run(longWork), [10, 20, 30, 40, 50, 60, 70, 80, 90])
    assert.deepEqual(await run(longWork / 2), [])
  })
})
