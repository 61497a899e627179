import Foundation
import Testing

/// A folder of its own for a test, removed with it, in which `chainrule` runs.
final class Workplace {
  let folder: URL

  init() throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("chainrule-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func write(_ text: String, to name: String) throws { try Data(text.utf8).write(to: url(name)) }
  func write(_ bytes: [UInt8], to name: String) throws { try Data(bytes).write(to: url(name)) }
  func read(_ name: String) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }
  func bytes(_ name: String) throws -> Data { try Data(contentsOf: url(name)) }
  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: url(name).path) }
  /// The names of the files in a folder, in order.
  func names(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: url(folder).path).sorted()
  }
  func makeFolder(_ name: String) throws {
    try FileManager.default.createDirectory(at: url(name), withIntermediateDirectories: true)
  }
  func remove(_ name: String) throws { try FileManager.default.removeItem(at: url(name)) }
  func url(_ name: String) -> URL { folder.appendingPathComponent(name) }

  /// Runs the program to its end.
  @discardableResult
  func chainrule(_ arguments: String..., input: String = "") throws -> Ended {
    try start(arguments, input: input).wait()
  }

  @discardableResult
  func chainrule(_ arguments: [String]) throws -> Ended { try start(arguments).wait() }

  /// What the program says of wrong usage or a failure, which leaves the file `kept` as it was: "old".
  func refused(
    _ arguments: String, _ status: Int32, keeping kept: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> String {
    let run = try chainrule(arguments.split(separator: " ").map(String.init))
    #expect(run.status == status, sourceLocation: sourceLocation)
    #expect(run.output.isEmpty, sourceLocation: sourceLocation)
    #expect(try read(kept) == "old", sourceLocation: sourceLocation)
    return run.errors.split(separator: "\n").first.map(String.init) ?? ""
  }

  /// Runs the program with these bytes on its standard input.
  func chainrule(_ arguments: String..., bytes: [UInt8]) throws -> Ended {
    try start(arguments, bytes: bytes).wait()
  }

  /// Starts the program. `pipe`, `output` and `errors` replace the files that are standard input, output and
  /// error.
  func start(
    _ arguments: [String], input: String = "", bytes: [UInt8]? = nil, pipe: Pipe? = nil,
    output: FileHandle? = nil, errors: FileHandle? = nil
  ) throws -> Running {
    let executable: URL = try #require(program, "the product chainrule is not beside the tests")
    let process = Process()
    process.executableURL = executable
    process.arguments = arguments
    process.currentDirectoryURL = folder
    let name = UUID().uuidString
    try write(bytes ?? Array(input.utf8), to: "\(name).in")
    try write("", to: "\(name).out")
    try write("", to: "\(name).err")
    process.standardInput = try pipe?.fileHandleForReading ?? FileHandle(forReadingFrom: url("\(name).in"))
    process.standardOutput = try output ?? FileHandle(forWritingTo: url("\(name).out"))
    process.standardError = try errors ?? FileHandle(forWritingTo: url("\(name).err"))
    try process.run()
    return Running(workplace: self, process: process, name: name)
  }
}

/// A run under way.
struct Running {
  let workplace: Workplace
  let process: Process
  let name: String

  var errors: String { get throws { try workplace.read("\(name).err") } }

  func wait() throws -> Ended {
    process.waitUntilExit()
    return Ended(
      reason: process.terminationReason, status: process.terminationStatus,
      output: try workplace.read("\(name).out"), errors: try errors)
  }
}

/// A run that has ended.
struct Ended {
  let reason: Process.TerminationReason
  let status: Int32
  let output: String
  let errors: String

  /// The lines of standard output.
  var lines: [String] { output.split(separator: "\n").map(String.init) }

  /// Standard output as one JSON object a line.
  var objects: [[String: Any]] { get throws { try jsonLines(output) } }
}

func jsonLines(_ text: String) throws -> [[String: Any]] {
  try text.split(separator: "\n").map { line in
    try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
  }
}

/// The built product, which lies in the folder of the test bundle, or of the program that runs it.
let program: URL? = {
  let bundles = Bundle.allBundles.filter { $0.bundlePath.hasSuffix(".xctest") }.map(\.bundleURL)
  let runner = [Bundle.main.executableURL, URL(fileURLWithPath: CommandLine.arguments[0])].compactMap { $0 }
  return (bundles + runner)
    .map { $0.deletingLastPathComponent().appendingPathComponent("chainrule") }
    .first { FileManager.default.isExecutableFile(atPath: $0.path) }
}()
