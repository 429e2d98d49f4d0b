/** Scripts that a page runs before its own: they run in the browser, and are given to it as text. */

/** A camera that turns white, and a microphone that beeps, at the same moment, once a second. */
export const flashingCamera = `(() => {
  const media = async constraints => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 })
    const context = canvas.getContext('2d')
    const audio = new AudioContext({ sampleRate: 48000 })
    await audio.resume()
    const out = audio.createMediaStreamDestination()
    const gain = new GainNode(audio, { gain: 0 })
    const tone = new OscillatorNode(audio, { frequency: 1000 })
    tone.connect(gain).connect(out)
    tone.start()
    const first = audio.currentTime + 0.5
    for (let i = 0; i < 600; i++) {
      gain.gain.setValueAtTime(0.8, first + i)
      gain.gain.setValueAtTime(0, first + i + 0.2)
    }
    let x = 0
    setInterval(() => {
      const since = audio.currentTime - first
      const isBright = since >= 0 && since % 1 < 0.2
      context.fillStyle = isBright ? '#fff' : '#111'
      context.fillRect(0, 0, 640, 360)
      context.fillStyle = '#888'
      context.fillRect((x += 7) % 600, 300, 40, 40)
    }, 33)
    const video = canvas.captureStream(30)
    return new MediaStream([
      ...(constraints.video ? video.getVideoTracks() : []),
      ...(constraints.audio ? out.stream.getAudioTracks() : []),
    ])
  }
  navigator.mediaDevices.getUserMedia = media
})()`

/** Keeps what every MediaRecorder of the page gives: \`recorded()\` tells it in base64. */
export const keepRecordings = `(() => {
  const blobs = []
  const start = MediaRecorder.prototype.start
  MediaRecorder.prototype.start = function (...given) {
    this.addEventListener('dataavailable', event => blobs.push(event.data))
    return start.apply(this, given)
  }
  globalThis.recorded = async () => {
    const bytes = new Uint8Array(await new Blob(blobs).arrayBuffer())
    let text = ''
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
    return btoa(text)
  }
})()`

/** Counts what is appended to SourceBuffers, and how often there was no room: `appends` tells. */
export const countAppends = `(() => {
  const appends = (globalThis.appends = { appended: 0, refused: 0 })
  const append = SourceBuffer.prototype.appendBuffer
  SourceBuffer.prototype.appendBuffer = function (bytes) {
    try {
      append.call(this, bytes)
      appends.appended += bytes.byteLength
    } catch (error) {
      if (error.name === 'QuotaExceededError') appends.refused += 1
      throw error
    }
  }
})()`

/**
 * What an iPhone has: no MediaSource, but one that is managed. It opens only where the picture stays on this screen, tells of
 * ranges that are there and no more, and throws away what it is told to by `managed.evict`; it is the browser's own otherwise.
 * `managed` also counts what was appended, and says `endstreaming` and `startstreaming`.
 */
export const managedSource = `(() => {
  const ranges = list => Array.from({ length: list.length }, (_, i) => [list.start(i), list.end(i)])
  const without = (all, some) => some.reduce((left, [from, to]) => left.flatMap(([start, end]) =>
    [[start, Math.min(end, from)], [Math.max(start, to), end]].filter(([a, b]) => b > a)), all)
  const timeRanges = list => ({ length: list.length, start: i => list[i][0], end: i => list[i][1] })
  const managed = (globalThis.managed = { made: 0, appended: 0, source: undefined })
  class ManagedMediaSource extends MediaSource {
    streaming = false
    constructor() {
      super()
      managed.made += 1
      managed.source = this
      this.addEventListener('sourceopen', event => {
        const video = document.querySelector('video[data-player]')
        if (video?.disableRemotePlayback !== true) event.stopImmediatePropagation()
        else managed.say('startstreaming')
      })
    }
    addSourceBuffer(type) {
      const buffer = super.addSourceBuffer(type)
      let before = []
      buffer.addEventListener('updateend', () => {
        if (![...this.sourceBuffers].includes(buffer)) return
        const now = ranges(buffer.buffered)
        const [added, removed] = [without(now, before), without(before, now)]
        before = now
        if (added.length + removed.length === 0) return
        const changed = { addedRanges: timeRanges(added), removedRanges: timeRanges(removed) }
        buffer.dispatchEvent(Object.assign(new Event('bufferedchange'), changed))
      })
      const append = buffer.appendBuffer
      buffer.appendBuffer = bytes => {
        append.call(buffer, bytes)
        managed.appended += bytes.byteLength
      }
      return buffer
    }
  }
  managed.say = name => {
    managed.source.streaming = name === 'startstreaming'
    managed.source.dispatchEvent(new Event(name))
  }
  managed.evict = async (from, to) => {
    const { currentTime } = document.querySelector('video[data-player]')
    for (const buffer of managed.source.sourceBuffers) {
      while (buffer.updating) await new Promise(resolve => buffer.addEventListener('updateend', resolve, { once: true }))
      buffer.remove(Math.max(0, currentTime + from), currentTime + to)
    }
  }
  globalThis.ManagedMediaSource = ManagedMediaSource
  delete globalThis.MediaSource
})()`
