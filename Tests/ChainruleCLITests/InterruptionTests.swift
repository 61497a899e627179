import Foundation
import Testing

@testable import ChainruleCLI

@Suite("Ctrl-C, terminals and pipes")
struct InterruptionTests {
  private let place: Workplace

  init() throws { place = try Workplace() }

  /// Waits until the run has told of an epoch.
  private func waitForProgress(_ run: Running) throws {
    let end = Date(timeIntervalSinceNow: 60)
    while try !run.errors.contains("epoch 2/") {
      try #require(run.process.isRunning && Date() < end, "there is no progress")
      Thread.sleep(forTimeInterval: 0.01)
    }
  }

  @Test func `Ctrl-C saves the model after the batch in hand and exits 130`() throws {
    let run = try place.start(["train", "digits", "--epochs", "1000000", "--save", "m.safetensors"])
    try waitForProgress(run)
    run.process.interrupt()
    let ended = try run.wait()
    #expect(ended.reason == .exit)
    #expect(ended.status == 130)
    #expect(ended.output == "model  saved in m.safetensors\n")
    #expect(ended.errors.contains("chainrule: interrupted after "))
    let evaluated = try place.chainrule("evaluate", "m.safetensors", "digits", "--json").objects.first
    #expect(try #require(evaluated?["accuracy"] as? Double) > 0.5)
  }

  @Test func `Ctrl-C without a file to save in says that nothing is saved`() throws {
    let run = try place.start(["train", "digits", "--epochs", "1000000"])
    try waitForProgress(run)
    run.process.interrupt()
    let ended = try run.wait()
    #expect(ended.status == 130)
    #expect(ended.output.isEmpty)
    #expect(ended.errors.hasSuffix("; nothing was saved\n"))
  }

  @Test func `Ctrl-C as soon as the work has begun cancels it`() async throws {
    let (cancelled, signal) = try await cancellingOnSignals {
      kill(getpid(), SIGINT)
      try? await Task.sleep(for: .seconds(60))
      return Task.isCancelled
    }
    #expect(cancelled && signal == SIGINT)
  }

  @Test func `on a terminal the progress is one line that is cleared in the end`() throws {
    var (controller, terminal): (Int32, Int32) = (-1, -1)
    try #require(openpty(&controller, &terminal, nil, nil, nil) == 0)
    defer { close(controller) }
    let errors = FileHandle(fileDescriptor: terminal, closeOnDealloc: true)

    let ended = try place.start(["train", "iris", "--epochs", "4"], errors: errors).wait()
    var bytes = [UInt8](repeating: 0, count: 65536)
    let count = read(controller, &bytes, bytes.count)
    try #require(count > 0)
    let shown = String(decoding: bytes[..<count], as: UTF8.self)
    #expect(!shown.contains("\n"))
    #expect(shown.hasPrefix("\r\u{1B}[2Kepoch 1/4 "))
    #expect(shown.contains("epoch 4/4 ████████████████████ 100 %"))
    #expect(shown.hasSuffix("\r\u{1B}[2K"))
    for line in shown.components(separatedBy: "\r\u{1B}[2K") { #expect(line.count < 80) }
    #expect(ended.output.contains("held out"))
    #expect(!ended.output.contains("\r"))
  }

  @Test func `a reader that has gone ends the program without a word`() throws {
    try place.chainrule("train", "digits", "--epochs", "1", "--save", "m", "--quiet")
    let pipe = Pipe()
    try pipe.fileHandleForReading.close()
    let ended = try place.start(
      ["predict", "m", "digits"], output: pipe.fileHandleForWriting
    ).wait()
    #expect(ended.reason == .uncaughtSignal)
    #expect(ended.status == SIGPIPE)
    #expect(ended.errors.isEmpty)
  }

  @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full")))
  func `results that cannot be written are a failure`() throws {
    let full = try #require(FileHandle(forWritingAtPath: "/dev/full"))
    let ended = try place.start(["train", "xor", "--epochs", "1", "--quiet"], output: full).wait()
    #expect(ended.status == 1)
    #expect(ended.errors.hasPrefix("chainrule: standard output: "))
  }
}
