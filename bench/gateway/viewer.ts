/** A viewer that only looks: keeps nothing of what it is sent, so that it costs the machine little. */
import { WebSocket } from 'ws'
import {
  decodeMessage,
  encodeMessage,
  type Message,
  type MessageOf,
  protocolVersion,
  subprotocol,
} from '../../src/wire/message.ts'

/** @returns once it has a frame. @param onFrame with the moment at which its message was there, of performance.now() */
export function watch(
  url: string,
  onFrame: (message: MessageOf<'frame'>, at: number) => void,
): Promise<void> {
  const socket = new WebSocket(url, subprotocol, { perMessageDeflate: false })
  socket.binaryType = 'nodebuffer'
  return new Promise((resolve, reject) => {
    const take = (message: Message, at: number): void => {
      if (message.type === 'bundle') for (const part of message.parts) take(decodeMessage(part), at)
      else if (message.type === 'error') reject(new Error(`${message.code}: ${message.message}`))
      else if (message.type === 'frame') {
        onFrame(message, at)
        resolve()
      }
    }
    socket.on('message', (data: Buffer) => take(decodeMessage(data), performance.now()))
    socket.on('error', reject)
    socket.on('open', () =>
      socket.send(encodeMessage({ type: 'hello', role: 'watch', version: protocolVersion, from: 'live' })),
    )
  })
}
