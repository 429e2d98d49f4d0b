/**
 * A WebSocket message as it stands on the network (RFC 6455 section 5.2): head and message in one piece, made once for all who
 * are sent it. ws makes a head, and asks the system for a write in two pieces, for each viewer anew.
 */
import type { Encoded } from '../relay/packet.ts'
import { encodeMessage, type KnownMessage } from '../wire/message.ts'

/** Of the largest head of a message that is not masked, as those of servers are not. */
const headRoom = 10
/** The last frame of a message, and the only one: binary. */
const finalBinary = 0x82

export function encodeFramed(message: KnownMessage): Encoded {
  const all = encodeMessage(message, headRoom)
  const length = all.byteLength - headRoom
  const head = length < 126 ? 2 : length < 0x1_0000 ? 4 : 10
  // A stream makes a Buffer of any other array of bytes, anew for each viewer.
  const bytes = Buffer.from(all.buffer, all.byteOffset + headRoom - head, head + length)
  bytes[0] = finalBinary
  const view = new DataView(bytes.buffer, bytes.byteOffset, head)
  if (head === 2) bytes[1] = length
  else if (head === 4) {
    bytes[1] = 126
    view.setUint16(2, length)
  } else {
    bytes[1] = 127
    view.setUint32(2, 0)
    view.setUint32(6, length)
  }
  return { bytes, message: bytes.subarray(head) }
}
