/** The reference: the same camera over a bare RTCPeerConnection, from one page to another, with the studio's bitrate. */
import { bitrateFor } from '../../../src/browser/publisher/video-codec.ts'
import type { Peer, Sound } from '../face.ts'
import { camera } from './camera.ts'

export class BarePeer implements Peer {
  #connection: RTCPeerConnection | undefined

  async offer(codec: string, sound: boolean): Promise<string> {
    const connection = this.#open()
    const stream = camera()
    for (const track of sound ? stream.getAudioTracks() : [])
      connection.addTransceiver(track, { direction: 'sendonly', streams: [stream] })
    for (const track of stream.getVideoTracks()) {
      const transceiver = connection.addTransceiver(track, {
        direction: 'sendonly',
        streams: [stream],
        sendEncodings: [
          { maxBitrate: bitrateFor({ width: 640, height: 360, frameRate: 30 }), maxFramerate: 30 },
        ],
      })
      const codecs = RTCRtpSender.getCapabilities('video')?.codecs ?? []
      const wanted = codecs.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${codec}`)
      transceiver.setCodecPreferences([...wanted, ...codecs.filter(each => !wanted.includes(each))])
    }
    await connection.setLocalDescription()
    return gathered(connection)
  }

  async answer(offer: string): Promise<string> {
    const connection = this.#open()
    const video = document.createElement('video')
    video.autoplay = true
    video.playsInline = true
    video.dataset.player = ''
    video.style.width = '100%'
    document.body.append(video)
    connection.ontrack = ({ streams: [stream] }) => {
      if (stream !== undefined && video.srcObject !== stream) video.srcObject = stream
    }
    await connection.setRemoteDescription({ type: 'offer', sdp: offer })
    await connection.setLocalDescription()
    return gathered(connection)
  }

  async accept(answer: string): Promise<void> {
    await this.#connection?.setRemoteDescription({ type: 'answer', sdp: answer })
  }

  async codec(): Promise<string> {
    const stats = await this.#stats()
    const video = stats.find(({ type, kind }) => /bound-rtp$/.test(String(type)) && kind === 'video')
    return String(stats.find(({ id }) => id === video?.codecId)?.mimeType ?? 'unknown')
  }

  async sound(): Promise<Sound | undefined> {
    const stats = await this.#stats()
    const sound = stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'audio')
    if (sound === undefined) return undefined
    const missing = Number(sound.concealedSamples ?? 0)
    return { played: Number(sound.totalSamplesReceived ?? 0) - missing, missing }
  }

  close(): void {
    this.#connection?.close()
    this.#connection = undefined
  }

  async #stats(): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const report = await this.#connection?.getStats()
    return [...(report?.values() ?? [])]
  }

  #open(): RTCPeerConnection {
    this.close()
    this.#connection = new RTCPeerConnection()
    return this.#connection
  }
}

/** Milliseconds in which the addresses of one machine are found. */
const gatheringLimit = 5000

/** @returns the local description with all its candidates in it */
async function gathered(connection: RTCPeerConnection): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    const look = (): void => {
      if (connection.iceGatheringState === 'complete') resolve()
    }
    connection.addEventListener('icegatheringstatechange', look)
    setTimeout(() => reject(new Error('no addresses for a peer connection were found')), gatheringLimit)
    look()
  })
  return connection.localDescription?.sdp ?? ''
}
