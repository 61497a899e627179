internal import ChainrulePlatform
internal import SwiftProtobuf

/// Reads the bytes of a model's tensors: they are in the model's file, or in files next to it, which
/// `torch.onnx.export` writes for large models.
///
/// The names of these files come from the model, which is not trusted. Each must be a regular file in the
/// model's folder: not a path, not a symbolic link, and no bytes beyond the file's end.
final class TensorBytes {
  /// The model's file.
  private let model: any ContiguousBytes
  /// The model's folder; `nil` for a model in memory.
  private let folder: String?
  /// The open files by name.
  private var files: [String: (descriptor: Int32, size: Int)] = [:]

  init(of model: any ContiguousBytes, folder: String?) { (self.model, self.folder) = (model, folder) }

  deinit { for file in files.values { close(file.descriptor) } }

  /// Calls `body` with the bytes of a tensor's values; with no bytes if they are stored in a list.
  ///
  /// - Throws: `Unreadable`, which names the tensor and the file.
  func withBytes<Result>(
    of proto: Onnx_TensorProto, named name: String, _ body: (UnsafeRawBufferPointer) -> Result
  ) throws(Unreadable) -> Result {
    if proto.isExternal { return try externalBytes(of: proto, named: name).withUnsafeBytes(body) }
    guard let place = RawPlace(inOutline: proto.rawData) else {
      return body(UnsafeRawBufferPointer(start: nil, count: 0))
    }
    let result = model.withUnsafeBytes { file -> Result? in
      guard 0...file.count ~= place.offset, 0...file.count - place.offset ~= place.count else { return nil }
      return body(UnsafeRawBufferPointer(rebasing: file[place.offset..<place.offset + place.count]))
    }
    guard let result else { throw Outline.noModel }
    return result
  }

  private func externalBytes(of proto: Onnx_TensorProto, named name: String) throws(Unreadable) -> Data {
    func refused(_ reason: String) -> Unreadable { Unreadable("tensor \(quoted(name)): \(reason)") }
    var entries: [String: String] = [:]
    for entry in proto.externalData where entries.updateValue(entry.value, forKey: entry.key) != nil {
      throw refused("\(quoted(entry.key)) of its external data occurs twice")
    }
    guard let location = entries["location"] else {
      throw refused("its values are in another file, which it does not name; export the model again")
    }
    let isPlain =
      !location.isEmpty && location != "." && location != ".."
      && !location.utf8.contains { [UInt8(ascii: "/"), UInt8(ascii: "\\"), 0].contains($0) }
    guard isPlain else {
      throw refused(
        "its values are in \(quoted(location)); expected the name of a file in the model's own folder")
    }
    guard let folder else {
      throw refused(
        "its values are in the file \(quoted(location)); import the model from its path, with that file in "
          + "the same folder")
    }
    func count(_ key: String, or standard: Int) throws(Unreadable) -> Int {
      guard let text = entries[key], !text.isEmpty else { return standard }
      guard let value = Int(text), value >= 0 else {
        throw refused(
          "the \(key) of its values in \(quoted(location)) is \(quoted(text)); expected 0 or more")
      }
      return value
    }
    let file = try opened(location, in: folder, refused)
    let offset = try count("offset", or: 0)
    let length = try count("length", or: max(file.size - offset, 0))
    let end = offset.addingReportingOverflow(length)
    guard !end.overflow, end.partialValue <= file.size else {
      throw refused(
        "its values are \(length) bytes from byte \(offset) of \(quoted(location)), which has \(file.size) bytes; "
          + "the file is cut short, or of another model")
    }
    var bytes = Data(count: length)
    let read = bytes.withUnsafeMutableBytes { buffer in
      var done = 0
      while done < length {
        let count = pread(file.descriptor, buffer.baseAddress! + done, length - done, off_t(offset + done))
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        done += count
      }
      return done
    }
    guard read == length else {
      throw refused("its values in \(quoted(location)) cannot be read; expected \(length) bytes, got \(read)")
    }
    return bytes
  }

  /// Returns the total size of the files that `tensors` name and that can be opened.
  func size(of tensors: [Onnx_TensorProto]) -> Int {
    for proto in tensors where proto.dataLocation == .external {
      let first = proto.externalData.first { $0.key == "location" }
      if let first, let folder, !first.value.contains("/"), !first.value.contains("\0") {
        _ = try? opened(first.value, in: folder) { Unreadable($0) }
      }
    }
    return files.values.reduce(0) { $0.addingReportingOverflow($1.size).partialValue }
  }

  private func opened(
    _ name: String, in folder: String, _ refused: (String) -> Unreadable
  ) throws(Unreadable) -> (descriptor: Int32, size: Int) {
    if let file = files[name] { return file }
    func cannot(_ code: Int32) -> Unreadable {
      refused(
        "its values are in the file \(quoted(name)) next to the model, which cannot be read: "
          + "\(String(cString: strerror(code)))")
    }
    let path = folder + "/" + name
    // A pipe must not block, and a link must not lead out of the folder.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else {
      guard errno == ELOOP else { throw cannot(errno) }
      throw refused(
        "its values are in \(quoted(name)), which is a symbolic link; expected the file itself next to the model"
      )
    }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      close(descriptor)
      throw refused("its values are in \(quoted(name)), which is not a file; expected one next to the model")
    }
    files[name] = (descriptor, Int(status.st_size))
    return files[name]!
  }
}

extension Onnx_TensorProto {
  /// Whether the tensor's values are in another file.
  var isExternal: Bool { dataLocation == .external || !externalData.isEmpty }
}
