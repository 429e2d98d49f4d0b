/**
 * Glass to glass over emulated links: the publisher's Chromium in one network namespace, the viewer's in another, gateway
 * and log in a third between them, beside a bare peer connection over the very same links. Needs Linux and root.
 *
 * NETWORK_ONLY (conditions, a regular expression), NETWORK_SUBJECTS (the same of subjects), NETWORK_SECONDS,
 * NETWORK_ROUNDS, NETWORK_WARM_UP, NETWORK_TRIES, NETWORK_LOG (embedded, kafka, kafka3), NETWORK_CONGESTION (cubic, bbr),
 * NETWORK_SYSCTLS (NAME=VALUE, separated by commas).
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { obstacle } from './network/possible.ts'
import { readSettings } from './network/settings.ts'

readSettings(process.env)
const reason = obstacle()
if (reason === undefined) {
  // All of it is started in a namespace of its own, so that nothing of the machine's network is touched.
  const program = join(import.meta.dirname, 'network', 'middle.ts')
  // The channel tells it that this process is gone, however it went.
  const child = spawn('unshare', ['--net', process.execPath, program], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) process.exitCode = 1
} else {
  console.log(`Not measured: ${reason}.`)
  // Of all parts this one may be left out; who asks for it by name is told that it was.
  if (process.argv.slice(2).includes('network')) process.exitCode = 1
}
