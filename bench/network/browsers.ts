/** Chromium at both ends of the links. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { executablePath, launch } from '../../test/support/chromium.ts'
import { type End, ends, type Links } from './links.ts'

/** @param origin the gateway's: camera and WebCodecs are given to it without TLS */
export async function launchAtEnds(
  links: Links,
  origin: string,
  resources: AsyncDisposableStack,
): Promise<Readonly<Record<End, Browser>>> {
  const folder = await mkdtemp(join(tmpdir(), 'framelog-network-'))
  resources.defer(() => rm(folder, { recursive: true, force: true }))
  const args = [
    `--unsafely-treat-insecure-origin-as-secure=${origin}`,
    '--disable-features=WebRtcHideLocalIpsWithMdns',
  ]
  const launchAt = async (end: End): Promise<Browser> => {
    // What drives it are pipes, which reach into any namespace.
    const executable = join(folder, end)
    const command = [...links.at(end), executablePath].map(word => `'${word}'`).join(' ')
    await writeFile(executable, `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 })
    return resources.adopt(await launch({ args, executable }), browser => browser.close())
  }
  const [publisher, viewer] = [await launchAt(ends[0]), await launchAt(ends[1])]
  return { publisher, viewer }
}
