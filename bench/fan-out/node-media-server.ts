/**
 * node-media-server over HTTP-FLV in a WebSocket, as its own program runs it. ffmpeg sends it the clip of `framelog load` by RTMP, 30
 * pictures a second at 1.5 Mbit/s: it takes no frames of a given size.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePorts } from '../../test/support/kafka-process.ts'
import { endProcess } from './programs.ts'
import type { Subject } from './subjects.ts'

const folder = join(import.meta.dirname, 'node-media-server')
const main = join(folder, 'node_modules/node-media-server/bin/app.js')
const clip = join(import.meta.dirname, '../../assets/load.mp4')
const patience = 10_000

export async function nodeMediaServer(): Promise<Subject> {
  if (!existsSync(main)) {
    const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
      cwd: folder,
    })
    if (status !== 0) throw new Error('npm could not bring node-media-server')
  }
  const [rtmp = 0, http = 0] = await freePorts(2)
  const server = spawn(
    process.execPath,
    [main, '--bind', '127.0.0.1', '--rtmp-port', `${rtmp}`, '--http-port', `${http}`],
    { cwd: tmpdir(), stdio: 'ignore' },
  )
  await listens(http)
  const camera = spawn(
    'ffmpeg',
    [
      ...['-v', 'error', '-nostdin', '-re', '-stream_loop', '-1', '-i', clip, '-an', '-c', 'copy'],
      ...['-f', 'flv', `rtmp://127.0.0.1:${rtmp}/live/crowd`],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  await pause(1000)
  return {
    pids: () => [server.pid ?? 0],
    port: http,
    path: '/live/crowd.flv',
    subprotocol: '-',
    hello: '-',
    type: -1,
    tellsAge: false,
    async [Symbol.asyncDispose]() {
      await endProcess(camera)
      await endProcess(server)
    },
  }
}

async function listens(port: number): Promise<void> {
  for (const deadline = Date.now() + patience; Date.now() < deadline; await pause(50)) {
    const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined)
    if (answer !== undefined) return
  }
  throw new Error(`node-media-server does not listen within ${patience / 1000} s`)
}
