/** A viewer that only looks: keeps nothing of what it is sent, so that it costs the machine little. */
import { WebSocket } from 'ws'
import {
  decodeMessage,
  encodeMessage,
  type MessageOf,
  protocolVersion,
  subprotocol,
  types,
} from '../../src/wire/message.ts'

/** @param at when the message was there, of performance.now() */
export type OnFrame = (message: () => MessageOf<'frame'>, at: number) => void

/** @returns once it has a frame */
export function watch(url: string, onFrame: OnFrame): Promise<void> {
  const socket = new WebSocket(url, subprotocol, { perMessageDeflate: false })
  socket.binaryType = 'nodebuffer'
  return new Promise((resolve, reject) => {
    const take = (data: Uint8Array, at: number): void => {
      if (data[0] === types.frame) {
        onFrame(() => decodeMessage(data) as MessageOf<'frame'>, at)
        resolve()
        return
      }
      const message = decodeMessage(data)
      if (message.type === 'bundle') for (const part of message.parts) take(part, at)
      else if (message.type === 'error') reject(new Error(`${message.code}: ${message.message}`))
    }
    socket.on('message', (data: Buffer) => take(data, performance.now()))
    socket.on('error', reject)
    socket.on('open', () =>
      socket.send(encodeMessage({ type: 'hello', role: 'watch', version: protocolVersion, from: 'live' })),
    )
  })
}
