// The system's C library and the essential part of Foundation, under one name on every platform. A file that
// needs either has `internal import ChainrulePlatform`.

#if canImport(Darwin)
  @_exported import Darwin
#elseif canImport(Glibc)
  @_exported import Glibc
#elseif canImport(Musl)
  @_exported import Musl
#endif

// Statically linked, all of Foundation is 49 MB larger than its essential part.
#if canImport(FoundationEssentials)
  @_exported import FoundationEssentials
#else
  @_exported import Foundation
#endif
