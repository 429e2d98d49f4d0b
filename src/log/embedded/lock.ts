/**
 * One gateway per data folder: offsets and tails live in its memory. The lock is a listening local socket,
 * which the kernel gives back whatever way the process ends; a lock file would outlive a kill -9.
 */
import { createHash } from 'node:crypto'
import { unlink } from 'node:fs/promises'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FramelogError } from '../../errors.ts'

/** @throws FramelogError DATA_DIR_UNUSABLE where another process holds the folder */
export async function lockDirectory(directory: string): Promise<AsyncDisposable> {
  const name = `framelog-${createHash('sha256').update(directory).digest('hex').slice(0, 32)}`
  const abstract = process.platform === 'linux'
  const address = abstract ? `\0${name}` : join(tmpdir(), `${name}.sock`)
  const server = createServer(socket => socket.destroy())
  if (!(await listen(server, address))) {
    if (abstract || (await answers(address))) throw inUse(directory)
    await unlink(address).catch(() => {})
    if (!(await listen(server, address))) throw inUse(directory)
  }
  server.unref()
  return {
    async [Symbol.asyncDispose]() {
      await new Promise<void>(resolve => server.close(() => resolve()))
    },
  }
}

const inUse = (directory: string): FramelogError =>
  new FramelogError('DATA_DIR_UNUSABLE', `Another gateway uses ${directory}`)

function listen(server: Server, address: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      if (error.code === 'EADDRINUSE') resolve(false)
      else
        reject(
          new FramelogError('DATA_DIR_UNUSABLE', `Cannot lock the data folder: ${error.message}`, {
            cause: error,
          }),
        )
    }
    server.once('error', onError)
    server.listen(address, () => {
      server.removeListener('error', onError)
      resolve(true)
    })
  })
}

function answers(address: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(address)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
