import Chainrule
import Foundation

/// The log of a training run: a file with one JSON object on each line, written at the end of its epoch or
/// iteration.
///
/// The file is replaced when the first line is written, so that a run that ends before leaves an older log as
/// it was. A run that resumes keeps the lines of the epochs before its checkpoint, each once.
struct RunLog {
  private let path: String
  private let fold: Int?
  private let resumes: Bool
  /// For a run that resumes: the lines of the log so far, by their epoch.
  private var earlier: [(epoch: Int, line: Data)] = []
  private var file: LogFile?

  /// - Parameters:
  ///   - fold: The fold of a cross-validation, counted from 1: the first begins the log, the others append to
  ///     it.
  ///   - resumes: Whether the run resumes from a checkpoint.
  /// - Throws: `ChainruleError.badData` where a run resumes and the file is not a log.
  init(path: String, fold: Int? = nil, resumes: Bool = false) throws(ChainruleError) {
    self.path = path
    self.fold = fold
    self.resumes = resumes
    if resumes, fileKind(path) == S_IFREG { earlier = try Self.lines(of: path) }
  }

  mutating func write(_ epoch: Epoch) throws(ChainruleError) {
    try begin(after: epoch.number - 1)
    var figures: [(key: String, value: JSON?)] = [
      ("epoch", .integer(epoch.number)), ("loss", .number(epoch.loss)),
    ]
    if let validation = epoch.validation {
      figures.append(("validationLoss", .number(validation.loss)))
      for (name, value) in validation.metrics {
        figures.append(("validation\(name.prefix(1).uppercased())\(name.dropFirst())", .number(value)))
      }
    }
    try append(
      figures + [("learningRate", .number(epoch.learningRate)), ("seconds", .number(epoch.seconds))])
  }

  /// Writes a line of training on all rows at once.
  mutating func write(iteration: Int, loss: Double, seconds: Double) throws(ChainruleError) {
    try begin(after: 0)
    try append([("iteration", .integer(iteration)), ("loss", .number(loss)), ("seconds", .number(seconds))])
  }

  /// Drops the lines of later epochs than the last one, where a run that resumed trained none.
  mutating func end(after epochs: Int) throws(ChainruleError) {
    if resumes { try begin(after: epochs) }
  }

  /// Begins the log with the lines of the first epochs, as many as `epochs`.
  private mutating func begin(after epochs: Int) throws(ChainruleError) {
    guard file == nil else { return }
    var kept = Data()
    var last = 0
    for (epoch, line) in earlier where epoch > last && epoch <= epochs {
      kept += line + [UInt8(ascii: "\n")]
      last = epoch
    }
    file = try LogFile(path, beginningWith: fold ?? 1 > 1 ? nil : kept)
  }

  /// Appends a line. What is not a finite number is left out.
  private func append(_ figures: [(key: String, value: JSON?)]) throws(ChainruleError) {
    try file?.write("\(JSON.object([("fold", fold.map(JSON.integer))] + figures))\n")
  }

  /// The lines of a log. A last line without its end is left out: its run was killed while it wrote.
  private static func lines(of path: String) throws(ChainruleError) -> [(epoch: Int, line: Data)] {
    let contents: Data
    do {
      contents = try Data(contentsOf: URL(fileURLWithPath: path))
    } catch {
      throw .file(path: path, reason: error.localizedDescription)
    }
    guard let end = contents.lastIndex(of: UInt8(ascii: "\n")) else {
      // A single line that is torn, or a file that is not a log.
      if contents.isEmpty || contents.first == UInt8(ascii: "{") { return [] }
      throw notALog(path, line: 1)
    }
    var lines: [(Int, Data)] = []
    for (number, line) in contents[..<end].split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false
    )
    .enumerated() {
      guard let object = try? JSONDecoder().decode(LoggedEpoch.self, from: line), object.epoch >= 1 else {
        throw notALog(path, line: number + 1)
      }
      lines.append((object.epoch, line))
    }
    return lines
  }

  private static func notALog(_ path: String, line: Int) -> ChainruleError {
    .badData(
      file: path, line: line, column: nil,
      reason:
        "this is not a line of the log of a run; a run that resumes continues its log. Expected another --log"
    )
  }

  private struct LoggedEpoch: Decodable { let epoch: Int }
}

/// The file of a log, open for appending.
private final class LogFile {
  private let path: String
  private var descriptor: Int32 = -1
  /// A device or a pipe.
  private var through: FileReplacement?

  /// - Parameter contents: What the file begins with, in place of what it held; nil: what it holds.
  init(_ path: String, beginningWith contents: Data?) throws(ChainruleError) {
    self.path = path
    let replacement = try FileReplacement(at: path)
    if replacement.isWrittenThrough {
      through = replacement
      return
    }
    if let contents {
      try replacement.write(contents)
      try replacement.commit()
    }
    descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else {
      throw .file(path: path, reason: "cannot write: \(String(cString: strerror(errno)))")
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  func write(_ text: String) throws(ChainruleError) {
    let bytes = Array(text.utf8)
    if let through { return try through.write(bytes) }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno != EINTR {
        throw .file(path: path, reason: "cannot write: \(String(cString: strerror(errno)))")
      }
    }
  }
}
