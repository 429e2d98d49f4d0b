/**
 * Encodes with MediaRecorder, which every browser has: it writes a container, a worker takes that apart again. Each
 * session is a recording of its own, so that its times begin near zero and its first picture is a keyframe.
 */
import { FramelogError } from '../../errors.ts'
import type { Frame } from '../../media/frame.ts'
import { type Micros, micros } from '../../units.ts'
import { isAppleWebKit } from '../engine.ts'
import type { FromDemuxWorker, ToDemuxWorker } from './demux-worker.ts'
import workerUrl from './demux-worker.ts?worker&url'
import type { FrameSource, FrameSourceHandler } from './frame-source.ts'
import { RecorderClock } from './recorder-clock.ts'
import { bitrateFor, keyframeInterval } from './video-codec.ts'

export const recorderLimits = {
  /** Milliseconds of media in a blob, as asked for: less than a frame, so that each frame comes at once. */
  timeslice: 20,
  /** The same of Apple's engine, where each blob begins with a keyframe. */
  timesliceOfApple: 250,
  /** Milliseconds without a keyframe after which the recording begins anew. Firefox takes no interval and gives one every 7.5 s. */
  keyframe: 10_000,
  /** Milliseconds that a finish waits for the recorder's last bytes. */
  finish: 3000,
  /** Milliseconds for a recording to give its first frame: some engines take part and then write nothing. */
  first: 10_000,
} as const

/** WebM first: what writes MP4 cuts it in pieces of a GOP or a second. */
const types = {
  video: ['video/webm;codecs=vp8,opus', 'video/webm', 'video/mp4;codecs=avc1.42e01f,opus', 'video/mp4'],
  videoOnly: ['video/webm;codecs=vp8', 'video/webm', 'video/mp4;codecs=avc1.42e01f', 'video/mp4'],
  audioOnly: ['audio/webm;codecs=opus', 'audio/webm', 'audio/mp4'],
} as const

/** Chromium's; others ignore it. */
interface RecorderOptions extends MediaRecorderOptions {
  readonly videoKeyFrameIntervalDuration?: number
}

interface Recording {
  readonly number: number
  readonly recorder: MediaRecorder
  readonly clock: RecorderClock
  /** Its first moment in the session, microseconds. */
  readonly base: number
  /** Fires where no frame comes at first. */
  readonly timer: number
  /** Settles when its last frame was given, or it is left; undefined until it is told to stop. */
  stopped: Promise<void> | undefined
  onOver: () => void
}

export class RecorderSource implements FrameSource {
  readonly #stream: MediaStream
  readonly #handler: FrameSourceHandler
  #type: string | undefined
  #worker: Worker | undefined
  #recording: Recording | undefined
  #number = 0
  #zero = 0
  /** The newest media time of the session. */
  #last = -1
  #keyframeAt = 0
  #finishing = false

  constructor(stream: MediaStream, handler: FrameSourceHandler) {
    this.#stream = stream
    this.#handler = handler
  }

  open(): Promise<string | undefined> {
    this.#type = 'MediaRecorder' in globalThis ? this.#chooseType() : undefined
    return Promise.resolve(this.#type === undefined ? 'MediaRecorder' : undefined)
  }

  begin(): void {
    this.#abandon()
    this.#last = -1
    this.#zero = performance.now()
    this.#record()
  }

  /** A recorder cannot be asked for one; the next comes with its interval, or with a new recording. */
  wantKeyframe(): void {}

  /** Nor can its bitrate be changed. */
  lowerBitrate(): void {}

  get bitrate(): undefined {
    return undefined
  }

  follow(): void {}

  async finish(): Promise<void> {
    this.#finishing = true
    if (this.#recording !== undefined) await this.#stop(this.#recording)
    this.close()
  }

  close(): void {
    this.#abandon()
    this.#worker?.terminate()
    this.#worker = undefined
  }

  #chooseType(): string | undefined {
    const hasPicture = this.#stream.getVideoTracks().length > 0
    const hasSound = this.#stream.getAudioTracks().length > 0
    const wanted = hasPicture ? (hasSound ? types.video : types.videoOnly) : types.audioOnly
    return wanted.find(type => MediaRecorder.isTypeSupported(type))
  }

  #record(): void {
    this.#worker ??= this.#newWorker()
    const {
      width = 640,
      height = 360,
      frameRate = 30,
    } = this.#stream.getVideoTracks()[0]?.getSettings() ?? {}
    const options: RecorderOptions = {
      ...(this.#type === undefined ? {} : { mimeType: this.#type }),
      videoBitsPerSecond: bitrateFor({ width, height, frameRate }),
      audioBitsPerSecond: 64_000,
      videoKeyFrameIntervalDuration: keyframeInterval / 1000,
    }
    const number = ++this.#number
    let recorder: MediaRecorder
    try {
      recorder = new MediaRecorder(this.#stream, options)
      recorder.start(isAppleWebKit() ? recorderLimits.timesliceOfApple : recorderLimits.timeslice)
    } catch (error) {
      this.#fail(error)
      return
    }
    const startedAt = performance.now()
    const base = this.#last < 0 ? 0 : Math.max(this.#last + 1000, (startedAt - this.#zero) * 1000)
    if (this.#last < 0) this.#zero = startedAt
    this.#keyframeAt = startedAt
    const timer = setTimeout(() => this.#fallSilent(), recorderLimits.first)
    const clock = new RecorderClock(startedAt)
    this.#recording = { number, recorder, clock, base, timer, stopped: undefined, onOver: () => {} }
    this.#tell({ kind: 'begin', recording: number })
    // Chromium gives a blob when the first byte of the next frame is written: what is asked for in turn frees the
    // frame itself (arrival of a picture 16 ms after its capture at best, and not 48).
    let wasAsked = false
    recorder.ondataavailable = ({ data }) => {
      if (data.size > 0) this.#tell({ kind: 'data', recording: number, blob: data })
      wasAsked = !wasAsked && recorder.state === 'recording' && !isAppleWebKit()
      if (wasAsked) recorder.requestData()
    }
    recorder.onstop = () => {
      this.#tell({ kind: 'end', recording: number })
      const isWanted = this.#stream.getTracks().some(({ readyState }) => readyState === 'live')
      const mine = this.#recording?.number === number ? this.#recording : undefined
      if (mine !== undefined && mine.stopped === undefined && isWanted)
        this.#fail(new Error('The browser stopped recording'))
    }
    recorder.onerror = event => {
      if (this.#recording?.number === number) this.#fail((event as ErrorEvent).error)
    }
  }

  #newWorker(): Worker {
    const worker = new Worker(workerUrl, { type: 'module', name: 'framelog-demux' })
    worker.onmessage = ({ data }: MessageEvent<FromDemuxWorker>) => this.#hear(data)
    worker.onerror = event => this.#fail(new Error(event.message || 'The demuxer did not load'))
    return worker
  }

  #tell(message: ToDemuxWorker): void {
    this.#worker?.postMessage(message)
  }

  #hear(message: FromDemuxWorker): void {
    const recording = this.#recording
    if (recording?.number !== message.recording) return
    switch (message.kind) {
      case 'tracks':
        this.#handler.onCatalog({ version: 1, tracks: message.tracks })
        break
      case 'frames':
        clearTimeout(recording.timer)
        for (const frame of message.frames) this.#give(frame, recording)
        this.#watchKeyframes(recording)
        break
      case 'ended':
        recording.onOver()
        break
      case 'failed':
        this.#abandon()
        this.#handler.onError(message.problem)
        break
      default:
        message satisfies never
    }
  }

  #give(frame: Frame, { clock, base }: Recording): void {
    const moved = (time: Micros): Micros => micros(time + base)
    const { decodeTimestamp } = frame
    const timestamp = moved(frame.timestamp)
    if (frame.keyframe && frame.track.startsWith('video')) this.#keyframeAt = performance.now()
    this.#last = Math.max(this.#last, timestamp)
    const decode = decodeTimestamp === undefined ? {} : { decodeTimestamp: moved(decodeTimestamp) }
    this.#handler.onFrame(
      { ...frame, timestamp, ...decode },
      clock.place(frame.timestamp / 1000, performance.now()),
    )
  }

  /** Whoever joins waits for a keyframe: a recorder that gives none any more is replaced by one that must. */
  #watchKeyframes(recording: Recording): void {
    if (this.#stream.getVideoTracks().length === 0 || recording.stopped !== undefined) return
    if (performance.now() - this.#keyframeAt < recorderLimits.keyframe) return
    void this.#stop(recording).then(() => {
      // Another session may have begun meanwhile, with a recording of its own.
      if (this.#recording === undefined && this.#worker !== undefined && !this.#finishing) this.#record()
    })
  }

  /** Waits for the last frames of a recording. */
  #stop(recording: Recording): Promise<void> {
    recording.stopped ??= new Promise<void>(resolve => {
      const timer = setTimeout(() => recording.onOver(), recorderLimits.finish)
      recording.onOver = () => {
        clearTimeout(timer)
        if (this.#recording === recording) this.#abandon()
        resolve()
      }
      if (recording.recorder.state !== 'inactive') recording.recorder.stop()
    })
    return recording.stopped
  }

  #abandon(): void {
    const recording = this.#recording
    this.#recording = undefined
    if (recording === undefined) return
    const { recorder, timer } = recording
    clearTimeout(timer)
    recorder.ondataavailable = null
    recorder.onstop = null
    recorder.onerror = null
    if (recorder.state !== 'inactive') recorder.stop()
    recording.onOver()
  }

  #fallSilent(): void {
    this.#abandon()
    this.#fail(new Error(`The browser's recorder wrote nothing for ${recorderLimits.first / 1000} seconds`))
  }

  #fail(cause: unknown): void {
    const message = cause instanceof Error ? cause.message : String(cause)
    this.#handler.onError(new FramelogError('RECORDER_FAILED', message, { cause }))
  }
}
