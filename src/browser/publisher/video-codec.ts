/**
 * Which codec to encode with: H.264 baseline where the encoder keeps up with the camera, since everything
 * decodes it, else VP8. What a browser says it supports is not what it does in time, so each is tried. On a machine
 * that is busy just now none may keep up: then it is the quickest, and the pictures that it has no time for are dropped.
 * An encoder in hardware is tried beside the one that the browser takes by itself: it is not always the quicker one.
 */
import { formatCodec } from '../../media/codec.ts'
import { chooseEncoder } from './encoder-choice.ts'

export interface PictureFormat {
  readonly width: number
  readonly height: number
  readonly frameRate: number
}

/** Media time between two keyframes, microseconds: what a viewer who joins has to decode at most. */
export const keyframeInterval = 2_000_000

/** @returns undefined where no encoder of this browser gives a picture in time to be live */
export function chooseVideoCodec(format: PictureFormat): Promise<VideoEncoderConfig | undefined> {
  const ways = candidates(format).map(
    config => [config, { ...config, hardwareAcceleration: 'prefer-hardware' }] as const,
  )
  const spent = async (config: VideoEncoderConfig): Promise<number | undefined> => {
    try {
      const { supported } = await VideoEncoder.isConfigSupported(config)
      return supported === true ? await timeOf(config, format) : undefined
    } catch {
      // Refused outright: the next one.
      return undefined
    }
  }
  return chooseEncoder<VideoEncoderConfig>(ways, spent, (0.7 * 1000) / format.frameRate)
}

export function bitrateFor({ width, height, frameRate }: PictureFormat): number {
  // 0.15 bit a pixel looks good for a talking head at 640x360; larger pictures need less of it.
  const perPixel = 0.15 * Math.min(1, Math.sqrt((640 * 360) / (width * height)))
  return Math.max(200_000, Math.round((width * height * frameRate * perPixel) / 10_000) * 10_000)
}

function candidates(format: PictureFormat): VideoEncoderConfig[] {
  const { width, height, frameRate } = format
  const common = {
    width,
    height,
    framerate: frameRate,
    bitrate: bitrateFor(format),
    latencyMode: 'realtime',
  } as const
  const h264 = formatCodec({
    family: 'h264',
    sample: 'avc1',
    profile: 0x42,
    constraints: 0xe0,
    level: h264Level(format),
  })
  return [
    { ...common, codec: h264, avc: { format: 'avc' } },
    { ...common, codec: 'vp8' },
  ]
}

/** The lowest level whose macroblock rate holds the format (ITU-T H.264, table A-1), times ten. */
function h264Level({ width, height, frameRate }: PictureFormat): number {
  const blocks = Math.ceil(width / 16) * Math.ceil(height / 16)
  const rate = blocks * frameRate
  if (blocks <= 3600 && rate <= 108_000) return 31
  if (blocks <= 8192 && rate <= 245_760) return 40
  return blocks <= 8704 && rate <= 522_240 ? 42 : 52
}

/**
 * Encodes a few made-up pictures one by one.
 * @returns milliseconds that each took; undefined where one did not come out before the next one was given
 */
async function timeOf(
  config: VideoEncoderConfig,
  { width, height, frameRate }: PictureFormat,
): Promise<number | undefined> {
  const pictures = 6
  const interval = 1000 / frameRate
  let failed = false
  let out = 0
  let wake = (): void => {}
  const encoder = new VideoEncoder({
    output: () => {
      out += 1
      wake()
    },
    error: () => {
      failed = true
      wake()
    },
  })
  try {
    encoder.configure(config)
    const pixels = noise(width, height)
    let spent = 0
    for (let i = 0; i < pictures && !failed; i++) {
      const frame = new VideoFrame(pixels, {
        format: 'I420',
        codedWidth: width,
        codedHeight: height,
        timestamp: Math.round(i * interval * 1000),
      })
      const begun = performance.now()
      encoder.encode(frame, { keyFrame: i === 0 })
      frame.close()
      // The first picture pays for the encoder's start.
      await untilOut(i === 0 ? 1500 : 10 * interval)
      if (i > 0) spent += performance.now() - begun
      // One that waits for later pictures holds every picture back by as much.
      if (out <= i) return undefined
    }
    return failed ? undefined : spent / (pictures - 1)
  } finally {
    if (encoder.state !== 'closed') encoder.close()
  }

  async function untilOut(limit: number): Promise<void> {
    const before = out
    if (failed) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, limit)
      wake = () => {
        if (out === before && !failed) return
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** A picture in I420 that is neither flat nor hopeless to encode. */
function noise(width: number, height: number): Uint8Array<ArrayBuffer> {
  const chroma = 2 * Math.ceil(width / 2) * Math.ceil(height / 2)
  const pixels = new Uint8Array(width * height + chroma).fill(128)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) pixels[y * width + x] = 64 + ((x * 3 + y * 5) & 63) + ((x * y) & 31)
  }
  return pixels
}
