/** Encodes with WebCodecs: picture and sound, and one media clock between them. */
import type { VideoTrack } from '../../media/catalog.ts'
import type { Frame } from '../../media/frame.ts'
import { micros, trackName } from '../../units.ts'
import type { FrameSource, FrameSourceHandler } from './frame-source.ts'
import {
  configsOf,
  type PictureConfigs,
  PictureEncoding,
  type SizeCount,
  totalBitrate,
} from './picture-encoding.ts'
import { readPictures } from './picture-source.ts'
import type { Pace } from './rate-control.ts'
import { readSamples, type Samples } from './sample-source.ts'
import { SoundEncoding } from './sound-encoding.ts'
import { chooseVideoCodec } from './video-codec.ts'

const audioName = trackName('audio')
/** Frames that may wait for the video tracks' configuration before the first catalog can be written. */
const heldLimit = 256

export class WebCodecsSource implements FrameSource {
  readonly #stream: MediaStream
  readonly #handler: FrameSourceHandler
  readonly #sizes: SizeCount
  #configs: PictureConfigs | undefined
  #channels = 0
  #video: PictureEncoding | undefined
  #pace: Pace | undefined
  #sound: SoundEncoding | undefined
  #videoTracks: readonly VideoTrack[] = []
  #described = false
  #held: Frame[] = []
  /** Zero of the media clock on the page's, milliseconds; undefined while there is no session. */
  #zero: number | undefined
  #stopSources: (() => void)[] = []

  /** @param sizes of the picture */
  constructor(stream: MediaStream, handler: FrameSourceHandler, sizes: SizeCount) {
    this.#stream = stream
    this.#handler = handler
    this.#sizes = sizes
  }

  async open(): Promise<string | undefined> {
    if (!('VideoEncoder' in globalThis && 'AudioEncoder' in globalThis)) return 'WebCodecs'
    const [camera] = this.#stream.getVideoTracks()
    if (camera !== undefined) {
      const { width = 640, height = 360, frameRate = 30 } = camera.getSettings()
      const format = { width: width & ~1, height: height & ~1, frameRate: Math.max(1, Math.round(frameRate)) }
      const config = await chooseVideoCodec(format)
      if (config === undefined) return 'a video encoder that keeps up with the camera'
      this.#configs = configsOf(config, this.#sizes)
    }
    const [microphone] = this.#stream.getAudioTracks()
    if (microphone !== undefined) this.#channels = Math.min(2, microphone.getSettings().channelCount ?? 1)
    return undefined
  }

  begin(): void {
    this.#closeEncoders()
    this.#videoTracks = []
    this.#described = false
    this.#held = []
    this.#zero = performance.now()
    this.#video = this.#configs && this.#newEncoding(this.#configs)
    if (this.#video === undefined) this.#describe()
    if (this.#stopSources.length === 0) this.#read()
  }

  wantKeyframe(): void {
    this.#video?.forceKeyframe()
  }

  lowerBitrate(): void {
    if (this.#video !== undefined) this.#configs = this.#video.lowerBitrate()
  }

  get bitrate(): number | undefined {
    return this.#configs && totalBitrate(this.#configs)
  }

  follow(pace: Pace): void {
    this.#pace = pace
    this.#video?.setBitrate(pace.bitrate)
  }

  async finish(): Promise<void> {
    this.#stopReading()
    await Promise.all([this.#video?.flush(), this.#sound?.flush()])
  }

  close(): void {
    this.#stopReading()
    this.#closeEncoders()
  }

  #read(): void {
    const [camera] = this.#stream.getVideoTracks()
    if (camera !== undefined)
      this.#stopSources.push(readPictures(camera, (frame, at) => this.#takePicture(frame, at)))
    const [microphone] = this.#stream.getAudioTracks()
    if (microphone !== undefined)
      this.#stopSources.push(readSamples(microphone, samples => this.#takeSamples(samples)))
  }

  #stopReading(): void {
    for (const stop of this.#stopSources) stop()
    this.#stopSources = []
  }

  #closeEncoders(): void {
    this.#video?.close()
    this.#sound?.close()
    this.#video = undefined
    this.#sound = undefined
  }

  #newEncoding(configs: PictureConfigs): PictureEncoding {
    const encoding = new PictureEncoding(configs, {
      onTracks: tracks => {
        this.#videoTracks = tracks
        this.#describe()
      },
      onFrame: frame => this.#takeFrame(frame),
      onError: error => this.#pictureFailed(error),
    })
    if (this.#pace !== undefined) encoding.setBitrate(this.#pace.bitrate)
    return encoding
  }

  #describe(): void {
    const audio = this.#channels > 0 ? [SoundEncoding.describe(audioName, this.#channels)] : []
    this.#handler.onCatalog({ version: 1, tracks: [...this.#videoTracks, ...audio] })
    this.#described = true
    const held = this.#held
    this.#held = []
    for (const frame of held) this.#takeFrame(frame)
  }

  #takePicture(picture: VideoFrame, at: number): void {
    const isWanted = this.#zero !== undefined && at >= this.#zero
    const timestamp = micros((at - (this.#zero ?? at)) * 1000)
    // What waits in a queue is late for everybody: it is left out here, and the encoder is not the wiser.
    const isTaken =
      isWanted && this.#pace?.isFull !== true && this.#video?.encode(picture, timestamp) === true
    if (isWanted && !isTaken) this.#handler.onSkipped()
    picture.close()
  }

  #takeSamples(samples: Samples): void {
    if (this.#zero === undefined || samples.at < this.#zero) return
    const [first] = samples.planes
    const planes = Array.from({ length: this.#channels }, (_, i) => samples.planes[i] ?? first).filter(
      plane => plane !== undefined,
    )
    const taken = { ...samples, planes }
    if (this.#sound?.takes(taken) === false) {
      this.#sound.close()
      this.#sound = undefined
    }
    this.#sound ??= new SoundEncoding(audioName, samples.rate, this.#channels, {
      onFrame: frame => this.#takeFrame(frame),
      onError: error => this.#failed(error),
    })
    this.#sound.encode(taken, micros((samples.at - this.#zero) * 1000))
  }

  #takeFrame(frame: Frame): void {
    if (this.#zero === undefined) return
    if (this.#described) this.#handler.onFrame(frame, this.#zero + frame.timestamp / 1000)
    else if (this.#held.length < heldLimit) this.#held.push(frame)
  }

  /** Hardware can be taken away: another program wants it, or its driver begins anew. What remains goes on. */
  #pictureFailed(error: DOMException): void {
    const configs = this.#configs
    if (configs?.[0]?.hardwareAcceleration !== 'prefer-hardware') {
      this.#failed(error)
      return
    }
    this.#configs = configs.map(config => ({ ...config, hardwareAcceleration: 'no-preference' }))
    this.#video?.close()
    this.#video = this.#newEncoding(this.#configs)
  }

  #failed({ name, message }: DOMException): void {
    this.#handler.onError({ code: name, message, advice: '', retryable: false })
  }
}
