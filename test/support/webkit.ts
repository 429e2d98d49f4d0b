/**
 * A real WebKit: WebKitGTK's own small browser on a screen that nobody sees, driven by W3C WebDriver. It is not Safari:
 * its codecs are GStreamer's, and its drawing is slow without a graphics card.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import type { DrivenPage, Engine } from './engine.ts'
import { freePort } from './kafka-process.ts'

/** Linux distributions have it in different places. */
const [binary] = globSync('/usr/{lib,lib64,libexec}/{,*/}webkit{2gtk,gtk}-*/MiniBrowser')

const browserArguments = [
  '--automation',
  '--autoplay-policy=allow',
  '--enable-mock-capture-devices=true',
  '--geometry=800x700',
]

export async function launchWebKit(): Promise<Engine> {
  const screen = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1024x800x24', '-nolisten', 'tcp'], {
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
  })
  const end = (): void => void screen.kill('SIGKILL')
  process.once('exit', end)
  screen.once('exit', () => process.removeListener('exit', end))
  const [number] = (await Promise.race([once(screen.stdio[3] as Readable, 'data'), exitOf(screen)])) as [
    Buffer,
  ]
  const environment = {
    ...process.env,
    DISPLAY: `:${number.toString().trim()}`,
    // Pictures of a camera that lie in a graphics card's memory cannot be encoded where there is none.
    WEBKIT_GST_DISABLE_GL_SINK: '1',
  }
  const first = await Session.open(environment)
  await first.close()
  return {
    name: 'WebKit',
    version: first.version,
    open: url => open(environment, url),
    async [Symbol.asyncDispose]() {
      screen.kill()
      await once(screen, 'exit')
    },
  }
}

/** Each page has a browser of its own: WebDriver gives commands to one window at a time. */
async function open(environment: NodeJS.ProcessEnv, url: string): Promise<DrivenPage> {
  const session = await Session.open(environment)
  await session.call('POST', '/url', { url })
  const errors: string[] = []
  await session.evaluate(collectErrors)
  return {
    async evaluate(run: (argument: never) => unknown, argument?: unknown) {
      const result = await session.evaluate(run, argument)
      errors.push(...((await session.evaluate(takeErrors)) as string[]))
      return result as never
    },
    errors,
    async screenshot(path) {
      await writeFile(path, Buffer.from((await session.call('GET', '/screenshot')) as string, 'base64'))
    },
    close: () => session.close(),
  }
}

class Session {
  readonly version: string
  readonly #driver: ChildProcess
  readonly #url: string

  static async open(environment: NodeJS.ProcessEnv): Promise<Session> {
    const port = await freePort()
    const driver = spawn('WebKitWebDriver', [`--port=${port}`], { env: environment, stdio: 'ignore' })
    const end = (): void => void driver.kill('SIGKILL')
    process.once('exit', end)
    driver.once('exit', () => process.removeListener('exit', end))
    const url = `http://127.0.0.1:${port}`
    await Promise.race([answers(url), exitOf(driver)])
    const { sessionId, capabilities } = (await command('POST', `${url}/session`, {
      capabilities: {
        alwaysMatch: { 'webkitgtk:browserOptions': { binary, args: browserArguments } },
      },
    })) as { sessionId: string; capabilities: { browserVersion: string } }
    const session = new Session(driver, `${url}/session/${sessionId}`, capabilities.browserVersion)
    await session.call('POST', '/timeouts', { script: 120_000, pageLoad: 30_000 })
    return session
  }

  constructor(driver: ChildProcess, url: string, version: string) {
    this.#driver = driver
    this.#url = url
    this.version = version
  }

  call(method: string, path: string, body?: unknown): Promise<unknown> {
    return command(method, this.#url + path, body)
  }

  /** Runs a function in the page. @throws Error with what it threw */
  async evaluate(run: (argument: never) => unknown, argument?: unknown): Promise<unknown> {
    const script = `const done = arguments[1]
      Promise.resolve().then(() => (${run})(arguments[0])).then(
        value => done({ value }), error => done({ error: String(error?.stack ?? error) }))`
    const { value, error } = (await this.call('POST', '/execute/async', {
      script,
      args: [argument ?? null],
    })) as { value?: unknown; error?: string }
    if (error !== undefined) throw new Error(error)
    return value ?? undefined
  }

  async close(): Promise<void> {
    await this.call('DELETE', '').catch(() => {})
    this.#driver.kill()
    if (this.#driver.exitCode === null && this.#driver.signalCode === null) await once(this.#driver, 'exit')
  }
}

async function command(method: string, url: string, body?: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  })
  const { value } = (await response.json()) as { value: unknown }
  if (!response.ok) throw new Error(`${method} ${url}: ${JSON.stringify(value)}`)
  return value
}

async function answers(url: string): Promise<void> {
  const deadline = Date.now() + 20_000
  for (;;) {
    try {
      await command('GET', `${url}/status`)
      return
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }
}

async function exitOf(child: ChildProcess): Promise<never> {
  const [code] = await once(child, 'exit')
  throw new Error(`${child.spawnfile} ended with ${code}`)
}

/** Run in the page. The driver tells of no errors; those of the page's first moments are missed. */
function collectErrors(): void {
  const page = globalThis as never as {
    thrown: string[]
    console: { error(...words: unknown[]): void }
    addEventListener(type: string, call: (event: { message?: string; reason?: unknown }) => void): void
  }
  page.thrown = []
  page.addEventListener('error', ({ message = '' }) => page.thrown.push(message))
  page.addEventListener('unhandledrejection', ({ reason }) => page.thrown.push(String(reason)))
  page.console.error = (...words) => page.thrown.push(words.join(' '))
}

function takeErrors(): string[] {
  return (globalThis as never as { thrown: string[] }).thrown.splice(0)
}
