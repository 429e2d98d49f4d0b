/** A WebSocket whose largest message can be raised, and that says what was too large before it closes. */
import { WebSocket } from 'ws'
import { FramelogError } from '../errors.ts'
import { messageLimits } from '../wire/message.ts'

/** RFC 6455 section 7.4.1: a message that is too big to process. */
const tooBig = 1009

export class LimitedSocket extends WebSocket {
  #largest: number = messageLimits.control
  /** Called once, for a message whose header says that it is too large: none of its bytes are kept. */
  onTooLarge: (error: FramelogError) => void = () => {}

  /** Takes frames from the next message on. */
  allowFrames(): void {
    this.#largest = messageLimits.frame
    // ws asks for the limit at every header, but has no public way to change it on an open socket.
    const { _receiver } = this as unknown as { _receiver: { _maxPayload: number } }
    _receiver._maxPayload = this.#largest
  }

  /** ws closes by this method too: without a reason where it refuses a message, with the peer's where it echoes. */
  override close(code?: number, reason?: string | Buffer): void {
    if (code === tooBig && reason === undefined) {
      const kind = this.#largest === messageLimits.frame ? 'FRAME_TOO_LARGE' : 'MESSAGE_TOO_LARGE'
      this.onTooLarge(new FramelogError(kind, `A message of more than ${this.#largest} bytes`))
    }
    super.close(code, reason)
  }
}
