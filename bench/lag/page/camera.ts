/**
 * The camera of the bench: a canvas with the clock over moving content, 30 pictures a second, and a microphone that
 * beeps. It stands in for the browser's own, which cannot show what time it is.
 */
import { clockBlocks, strip } from '../strip.ts'

const width = 640
const height = 360
const rate = 30
const interval = 1000 / rate

let opened: MediaStream | undefined

/** The page's one camera with its microphone, opened at the first call. */
export function camera(): MediaStream {
  opened ??= new MediaStream([...openPicture().getTracks(), ...openSound().getTracks()])
  return opened
}

/** Whoever asks for a camera gets a copy of ours, which may be stopped. */
export function replaceCamera(): void {
  if (navigator.mediaDevices === undefined) return
  navigator.mediaDevices.getUserMedia = async ({ video = false, audio = false } = {}) =>
    new MediaStream([
      ...(video === false ? [] : camera().getVideoTracks()).map(track => withRate(track.clone())),
      ...(audio === false ? [] : camera().getAudioTracks()).map(track => track.clone()),
    ])
}

/** A camera says what its rate is. A canvas may name the screen's, and then an encoder is told to expect twice the pictures. */
function withRate(track: MediaStreamTrack): MediaStreamTrack {
  const settings = track.getSettings.bind(track)
  track.getSettings = () => ({ ...settings(), frameRate: rate })
  return track
}

function openPicture(): MediaStream {
  const canvas = document.createElement('canvas')
  canvas.width = width
  canvas.height = height
  const context = canvas.getContext('2d', { alpha: false })
  if (context === null) throw new Error('no canvas to draw the clock on')
  const landscape = drawLandscape()
  // Without a rate of its own: every drawing is one picture.
  const stream = canvas.captureStream()
  let due = performance.now()
  let count = 0
  const draw = (): void => {
    requestAnimationFrame(draw)
    const now = performance.now()
    if (now < due - interval / 4) return
    // A refresh that comes a little early is on time; after a pause it goes on from now.
    due = now - due > interval ? now + interval : due + interval
    count += 1
    const x = Math.round((Math.sin(count / 90) + 1) * 0.5 * (landscape.width - width))
    const y = Math.round((Math.cos(count / 70) + 1) * 0.5 * (landscape.height - height))
    context.drawImage(landscape, x, y, width, height, 0, 0, width, height)
    drawClock(context, performance.timeOrigin + performance.now())
  }
  draw()
  return stream
}

function drawClock(context: CanvasRenderingContext2D, clock: number): void {
  const w = width / strip.columns
  const h = (height * strip.height) / strip.rows
  context.fillStyle = '#000'
  context.fillRect(0, 0, width, height * strip.height)
  context.fillStyle = '#fff'
  clockBlocks(clock).forEach((white, i) => {
    if (white) context.fillRect((i % strip.columns) * w, Math.floor(i / strip.columns) * h, w, h)
  })
}

/** Larger than the picture, so that the picture can wander over it: discs of all sizes on a gradient. */
function drawLandscape(): OffscreenCanvas {
  const canvas = new OffscreenCanvas(width * 1.5, height * 1.5)
  const context = canvas.getContext('2d', { alpha: false })
  if (context === null) throw new Error('no canvas for the landscape')
  const sky = context.createLinearGradient(0, 0, canvas.width, canvas.height)
  sky.addColorStop(0, '#1b3a57')
  sky.addColorStop(1, '#d9a066')
  context.fillStyle = sky
  context.fillRect(0, 0, canvas.width, canvas.height)
  const random = randomFrom(1)
  for (let i = 0; i < 400; i++) {
    context.fillStyle = `hsl(${random() * 360} ${20 + random() * 60}% ${20 + random() * 60}% / 0.6)`
    context.beginPath()
    context.arc(random() * canvas.width, random() * canvas.height, 2 + random() ** 4 * 80, 0, 2 * Math.PI)
    context.fill()
  }
  return canvas
}

/** The same numbers in every run. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** A beep of a tenth of a second, every second. */
function openSound(): MediaStream {
  const context = new AudioContext({ sampleRate: 48_000 })
  const out = new MediaStreamAudioDestinationNode(context, { channelCount: 1 })
  const loudness = new GainNode(context, { gain: 0 })
  const tone = new OscillatorNode(context, { frequency: 440 })
  tone.connect(loudness).connect(out)
  tone.start()
  const beep = (): void => {
    loudness.gain.setValueAtTime(0.3, context.currentTime)
    loudness.gain.setValueAtTime(0, context.currentTime + 0.1)
  }
  setInterval(beep, 1000)
  void context.resume()
  return out.stream
}
