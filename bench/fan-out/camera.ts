/** A publisher in this process, each of whose frames tells when it was made. */
import { encodeMessage } from '../../src/wire/message.ts'
import { TestPublisher, testFrame } from '../../test/support/clients.ts'
import { testBytes } from './moment.ts'
import type { Stream } from './subjects.ts'

/** @param gateway origin of its sockets. @returns once the log has the first frame; to be disposed of before the gateway */
export async function startCamera(gateway: string, id: string, { bytes, rate }: Stream): Promise<Disposable> {
  const publisher = await TestPublisher.connect(gateway, id)
  const send = (): void => {
    const { closed } = publisher
    if (closed !== undefined) throw new Error(`the publisher was closed: ${closed.code} ${closed.reason}`)
    const frame = { ...testFrame(publisher.sequence++), data: testBytes(bytes) }
    publisher.socket.send(encodeMessage({ type: 'frame', frame }))
    publisher.forget()
  }
  send()
  await publisher.acknowledged(publisher.sequence - 1)
  const timer = setInterval(send, 1000 / rate)
  return {
    [Symbol.dispose]() {
      clearInterval(timer)
      publisher.cut()
    },
  }
}
