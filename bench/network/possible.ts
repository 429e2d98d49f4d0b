/** Whether this machine lets the bench make networks of its own. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/** Programs, each with an argument that only has it tell its version. */
const programs = { ip: '-V', nsenter: '-V', unshare: '-V', sysctl: '-V', python3: '-V' } as const

/** @returns what is in the way, if something is */
export function obstacle(): string | undefined {
  if (process.platform !== 'linux') return 'it needs network namespaces, which only Linux has'
  if (process.getuid?.() !== 0) return 'it needs root, for network namespaces and TUN devices'
  const missing = Object.entries(programs).filter(([name, argument]) => !works(name, argument))
  if (missing.length > 0) return `it needs ${missing.map(([name]) => name).join(', ')}`
  if (!existsSync('/dev/net/tun')) return 'there is no /dev/net/tun'
  if (!works('unshare', '--net', 'ip', 'tuntap', 'add', 'dev', 'probe', 'mode', 'tun'))
    return 'the kernel, or the container, lets nobody make a network namespace with a TUN device'
  return undefined
}

const works = (command: string, ...args: string[]): boolean =>
  spawnSync(command, args, { stdio: 'ignore' }).status === 0
